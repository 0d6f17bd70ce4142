/** The client that all calls of `sluice/node` share unless they bring their own: one connection per server. */
import { Client } from '../client/index.ts';
import { createNodeEnvironment } from './node-environment.ts';

let shared: Client | null = null;

export function sharedClient(): Client {
  shared ??= new Client(createNodeEnvironment());
  return shared;
}
