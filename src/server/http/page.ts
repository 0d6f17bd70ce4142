/**
 * The pages a person sees who opens a link in a browser: static HTML without script. Nothing of the request is put
 * into them, so there is nothing to escape. The real page replaces them later.
 */

/** Sent with every page: it may load nothing, be framed by nobody, and tells no other site where it was. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

export const START_PAGE: string = page(
  'Sluice',
  `<p>This is a Sluice server: live file transfer. Whoever has a link receives the files while they are still being
sent.</p>
<p>To send a file, with the Sluice command line on your machine:</p>
<pre>sluice send &lt;file&gt; --server &lt;the address of this page&gt;</pre>`,
);

export const TRANSFER_PAGE: string = page(
  'Sluice transfer',
  `<p>This is the link of a file transfer. Receiving in the browser comes later; until then the Sluice command line
does it:</p>
<pre>sluice receive '&lt;the whole address of this page&gt;'</pre>
<p>Copy the address with everything behind the <code>#</code>: that part is the key, and this server never sees it.
Keep the quotes around it.</p>`,
);

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1.05rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 3rem auto; padding: 0 1rem; }
  pre { padding: 0.75rem; border: 1px solid; border-radius: 0.4rem; overflow-x: auto; }
</style>
<h1>${title}</h1>
${body}
</html>
`;
}
