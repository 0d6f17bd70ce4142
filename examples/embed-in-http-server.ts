// Adds Sluice to an HTTP server that is there already: below /files it is Sluice, everything else stays as it was.
//
//   node examples/embed-in-http-server.ts [PORT] [DATA FOLDER]
//   npx sluice send FILE --server http://127.0.0.1:8080/files
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'sluice/server';

const [port = '8080', dataDirectory = 'sluice-data'] = process.argv.slice(2);

const web = createHttpServer((request, response) => {
  if (request.url?.startsWith('/files')) return; // Sluice answers
  response.end('Hello from your own server.\n');
});

const sluice = await createServer({ dataDirectory });
sluice.attach(web, { basePath: '/files' });

web.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(web.address() as AddressInfo).port}/files`);
});

process.once('SIGTERM', async () => {
  await sluice.close({ drainMs: 1_000 });
  web.close();
});
