/** Answers plain HTTP requests: the pages and the health check. Attaches to any node:http server. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PAGE_HEADERS, START_PAGE, TRANSFER_PAGE } from './page.ts';

/** A transfer id, and for plain transfers the read token behind it. */
const TRANSFER_PATH = /^\/t\/[A-Za-z0-9_-]{1,64}(?:\/[A-Za-z0-9_-]{1,128})?$/;

const NO_SNIFF = { 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' };

/** The path of a request below `basePath` ('' or '/some/path'), or null when it is not below it. */
export function pathBelow(basePath: string, url: string | undefined): string | null {
  const path = (url ?? '/').split('?', 1)[0] ?? '/';
  if (path === basePath) return '/';
  return path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : null;
}

/** Answers a request whose path below the base is `path`. */
export function answerRequest(request: IncomingMessage, response: ServerResponse, path: string): void {
  const body = bodyOf(path);
  if (body === null) return answer(response, request, 404, TEXT, 'Not found.\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return answer(response, request, 405, { ...TEXT, Allow: 'GET, HEAD' }, 'Only GET is answered here.\n');
  }
  answer(response, request, 200, body.headers, body.text);
}

const TEXT = { ...NO_SNIFF, 'Content-Type': 'text/plain; charset=utf-8' };
const JSON_HEADERS = { ...NO_SNIFF, 'Content-Type': 'application/json' };

function bodyOf(path: string): { headers: Readonly<Record<string, string>>; text: string } | null {
  if (path === '/') return { headers: PAGE_HEADERS, text: START_PAGE };
  if (path === '/healthz') return { headers: JSON_HEADERS, text: '{"status":"ok"}' };
  return TRANSFER_PATH.test(path) ? { headers: PAGE_HEADERS, text: TRANSFER_PAGE } : null;
}

function answer(
  response: ServerResponse,
  request: IncomingMessage,
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string,
): void {
  response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(text) });
  response.end(request.method === 'HEAD' ? undefined : text);
}
