/**
 * Input: the headers of a request as they came. Output: the one bearer token in them, unread, or why there is
 * none. A token anywhere else (query string, body, cookie) is not looked at. RFC 6750, section 2.1.
 */
export type CredentialsProblem =
  'no_credentials' | 'several_credentials' | 'other_scheme' | 'malformed_credentials' | 'token_too_large';

export type Credentials =
  { readonly ok: true; readonly token: string } | { readonly ok: false; readonly reason: CredentialsProblem };

/** Three parts, as a signed token has; an encrypted one has five. */
const SIGNED_TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const SCHEME = /^Bearer +/i;

/** Names and values in turn: only there do two headers of one name show. */
export function bearerToken(rawHeaders: readonly string[], maxTokenBytes: number): Credentials {
  const values = rawHeaders.filter(
    (_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === 'authorization',
  );
  const [value] = values;
  if (value === undefined) return { ok: false, reason: 'no_credentials' };
  if (values.length > 1) return { ok: false, reason: 'several_credentials' };
  const scheme = SCHEME.exec(value)?.[0];
  if (scheme === undefined) return { ok: false, reason: 'other_scheme' };
  // Judged by the length of all of it, before anything reads it.
  const token = value.slice(scheme.length);
  if (token.length > maxTokenBytes) return { ok: false, reason: 'token_too_large' };
  return SIGNED_TOKEN.test(token) ? { ok: true, token } : { ok: false, reason: 'malformed_credentials' };
}
