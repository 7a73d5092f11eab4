/** Why bytes of a record batch cannot be unpacked. Where the batch's header is whole it becomes bad data. */
export class Undecodable extends Error {
  /** As the client library asks it: reading again would give the same. */
  readonly retriable = false;

  constructor(reason: string) {
    super(reason);
    this.name = 'Undecodable';
  }
}
