const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Undefined: these bytes are no UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
