/** `Link` (RFC 8288): where an answer goes on. Targets are relative, so they hold behind any proxy. */
export type Links = Readonly<Record<string, string>>;

/** `</api/v1/ledger?after=x>; rel="next"`; undefined without links. */
export function linkHeader(links: Links): string | undefined {
  const all = Object.entries(links).map(([relation, target]) => `<${target}>; rel="${relation}"`);
  return all.length === 0 ? undefined : all.join(', ');
}

/** The address that was asked, with other parameters: for the next page, the cursor. */
export function withParameters(url: string, changes: Readonly<Record<string, string>>): string {
  const [path, query] = partsOf(url);
  const parameters = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) parameters.set(name, value);
  return `${path}?${parameters.toString()}`;
}

/** Of an address: its path, and what is behind the first `?`; a second one is text like any other. */
function partsOf(url: string): readonly [path: string, query: string] {
  const at = url.indexOf('?');
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)];
}
