/**
 * The client's side of opening a WebSocket to a Sluice server, with failures told apart and put into words.
 * Tries once; when to try again is for the session.
 */
import { randomFillSync } from 'node:crypto';
import type { Agent, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { SluiceError, SUBPROTOCOL } from '../protocol/index.ts';
import type { Connector, MessageTransport } from '../runtime/index.ts';
import { type Framing, WEBSOCKET_LIMITS, WsTransport } from './ws-transport.ts';

export interface ConnectorOptions {
  /** From the first packet to the open WebSocket, ms. Default 8,000. */
  readonly connectTimeoutMs?: number;
  /** For proxies and own certificates. Default: a direct connection with the certificates of the system. */
  readonly agent?: Agent;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 8_000;
/** Answers of a proxy whose server is away, and of servers that ask for patience: trying again helps. */
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** Connects with the defaults. */
export const connectWebSocket: Connector = createConnector();

export function createConnector(options: ConnectorOptions = {}): Connector {
  return (serverUrl, signal) => connect(serverUrl, signal, options);
}

/**
 * `http(s)://host/base` becomes `ws(s)://host/base/ws`.
 * @throws SluiceError `usage` when it is no such address.
 */
export function webSocketUrlOf(serverUrl: string): URL {
  const url = URL.canParse(serverUrl) ? new URL(serverUrl) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new SluiceError('usage', 'A server address looks like https://host or http://host:port.');
  }
  url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/ws`;
  url.search = '';
  url.hash = '';
  return url;
}

async function connect(
  serverUrl: string,
  signal: AbortSignal,
  { agent, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS }: ConnectorOptions,
): Promise<MessageTransport> {
  const url = webSocketUrlOf(serverUrl);
  if (signal.aborted) throw interrupted(signal);
  let framing: Framing = 'masked';
  const ws = new WebSocket(url, SUBPROTOCOL, {
    ...WEBSOCKET_LIMITS,
    ...(agent === undefined ? {} : { agent }),
    // SPEC: masks protect intermediaries. `ws` hands in zeros; they stay when there is no intermediary.
    generateMask: (mask) => {
      if (framing === 'masked') randomFillSync(mask);
    },
  });
  return new Promise((resolve, reject) => {
    let socket: Socket | null = null;
    let failure: SluiceError | null = null;
    const fail = (error: SluiceError) => {
      failure ??= error;
      ws.terminate();
    };
    const timer = setTimeout(() => fail(timedOut(connectTimeoutMs)), connectTimeoutMs);
    const onAbort = () => fail(interrupted(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    ws.once('unexpected-response', (_request, response) => {
      // Nobody reads its body, and it may never end.
      response.on('error', () => {}).destroy();
      fail(errorOfResponse(response));
    });
    ws.once('upgrade', (response) => {
      socket = response.socket;
      if (response.headers['sec-websocket-protocol'] !== SUBPROTOCOL) {
        failure ??= new SluiceError('notSluice', `It does not speak ${SUBPROTOCOL}.`);
      }
      if (agent === undefined && url.protocol === 'ws:' && isLoopback(socket.remoteAddress))
        framing = 'zeroMask';
    });
    ws.once('open', () => {
      settle();
      // The upgrade event comes first, always.
      if (socket !== null) resolve(new WsTransport(ws, socket, framing));
    });
    ws.once('error', (error) => {
      settle();
      reject(failure ?? errorOfConnecting(error, url, socket !== null));
    });
    // Aborting emits an error of its own after the one that settled.
    ws.on('error', () => {});
  });
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/i.test(address);
}

function interrupted(signal: AbortSignal): SluiceError {
  return signal.reason instanceof SluiceError
    ? signal.reason
    : new SluiceError('interrupted', '', { cause: signal.reason });
}

function timedOut(connectTimeoutMs: number): SluiceError {
  return new SluiceError('unreachable', `It did not answer within ${connectTimeoutMs / 1000} s.`);
}

function errorOfResponse(response: IncomingMessage): SluiceError {
  const status = response.statusCode ?? 0;
  if (PASSING_STATUSES.has(status)) {
    const retryAfterSeconds = Number(response.headers['retry-after']);
    return new SluiceError(
      'unreachable',
      `It answers HTTP ${status}.`,
      retryAfterSeconds > 0 ? { retryAfterMs: Math.min(retryAfterSeconds, 3600) * 1000 } : {},
    );
  }
  const spoken = String(response.headers['sec-websocket-protocol'] ?? '').match(/\bsluice\.v\d{1,4}\b/g);
  if (status === 426 && spoken !== null) {
    return new SluiceError(
      'versionMismatch',
      `This side speaks ${SUBPROTOCOL}, the server ${spoken.slice(0, 8).join(', ')}.`,
    );
  }
  const isRedirect = status >= 300 && status < 400;
  return new SluiceError(
    'notSluice',
    `It ${isRedirect ? 'redirects elsewhere' : 'answers'}: HTTP ${status}.`,
  );
}

const CERTIFICATE_CODE = /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT)/;

function errorOfConnecting(error: Error, url: URL, isUpgraded: boolean): SluiceError {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const options = { cause: error };
  if (CERTIFICATE_CODE.test(code)) {
    return new SluiceError('notSluice', `Its certificate is not trusted (${code}).`, options);
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL')) {
    return new SluiceError(
      'notSluice',
      'It does not speak TLS; try http:// for a server in your network.',
      options,
    );
  }
  // HPE_*: what answered is no HTTP. No code after the upgrade: `ws` refused the answer.
  if (code.startsWith('HPE_') || isUpgraded) {
    return new SluiceError('notSluice', 'It does not answer as a WebSocket server does.', options);
  }
  return new SluiceError('unreachable', reasonOf(code, url), options);
}

function reasonOf(code: string, url: URL): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `Nothing listens at ${url.host}.`;
    case 'ENOTFOUND':
      return `The name ${url.hostname} is not known.`;
    case 'EAI_AGAIN':
      return `The name ${url.hostname} cannot be looked up now.`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return `There is no way to ${url.host} from here.`;
    case 'ETIMEDOUT':
      return `${url.host} does not answer.`;
    case 'ECONNRESET':
    case 'EPIPE':
      return `${url.host} closed the connection.`;
    default:
      return `${url.host}: ${code === '' ? 'the connection failed' : code}.`;
  }
}
