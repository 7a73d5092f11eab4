/**
 * `/docs`: the OpenAPI document to read and to try, by Swagger UI. Page and assets come from here alone, and
 * the page may fetch nothing else and run nothing inline; it shows no data without a token of the reader's.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { FastifyInstance } from 'fastify';

const PATH = '/docs';
/** Only the assets that the package carries are used, none of its code. */
const ASSETS = '@fastify/swagger-ui/static/';

/** React styles elements through the object model, which needs no leave for inline styles. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE = `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>gh0stcloud metering API</title>
    <link rel="icon" href="${PATH}/favicon-32x32.png">
    <link rel="stylesheet" href="${PATH}/swagger-ui.css">
  </head>
  <body>
    <div id="docs"></div>
    <script src="${PATH}/swagger-ui-bundle.js"></script>
    <script src="${PATH}/start.js"></script>
  </body>
</html>
`;

/** Tokens are kept for as long as the page is open, and nothing is told to a validator elsewhere. */
const START = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  docExpansion: 'list',
  persistAuthorization: false,
  validatorUrl: null,
});
`;

interface Asset {
  readonly type: string;
  readonly content: string | Buffer;
}

export function registerDocs(app: FastifyInstance): void {
  const script = 'text/javascript; charset=utf-8';
  serve(app, PATH, { type: 'text/html; charset=utf-8', content: PAGE });
  serve(app, `${PATH}/start.js`, { type: script, content: START });
  serve(app, `${PATH}/swagger-ui-bundle.js`, { type: script, content: asset('swagger-ui-bundle.js') });
  serve(app, `${PATH}/swagger-ui.css`, { type: 'text/css; charset=utf-8', content: asset('swagger-ui.css') });
  serve(app, `${PATH}/favicon-32x32.png`, { type: 'image/png', content: asset('favicon-32x32.png') });
}

function serve(app: FastifyInstance, path: string, { type, content }: Asset): void {
  app.get(path, (_request, reply) =>
    reply
      .headers({ 'content-security-policy': POLICY, 'referrer-policy': 'no-referrer' })
      .header('cache-control', 'public, max-age=3600')
      .type(type)
      .send(content),
  );
}

function asset(name: string): Buffer {
  return readFileSync(fileURLToPath(import.meta.resolve(`${ASSETS}${name}`)));
}
