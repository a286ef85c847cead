// Keeps the page's files, so that it works without a net, and adds the headers
// that threads need and that keep all requests at home, whatever the server.
/* global BUILD, FILES, POLICY */

const NAME = `tfexposure-${BUILD}`;
const PATIENCE = 3000; // Milliseconds until what is kept will do.
const HEADERS = {
  'Content-Security-Policy': POLICY,
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

self.addEventListener('install', (event) => {
  const keep = async () => (await caches.open(NAME)).addAll(FILES);
  event.waitUntil(keep().then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  const clean = async () => {
    const names = await caches.keys();
    const old = names.filter((name) => name.startsWith('tfexposure-') && name !== NAME);
    await Promise.all(old.map((name) => caches.delete(name)));
  };
  event.waitUntil(clean().then(() => self.clients.claim()));
});

self.addEventListener('fetch', (event) => {
  if (event.request.method === 'GET' && isOurs(event.request.url)) {
    event.respondWith(answer(event.request));
  }
});

/** Whether an address is of the page: its server may have others. */
function isOurs(address) {
  const {scope} = self.registration;
  const {origin, pathname} = new URL(address);
  const url = origin + pathname;
  return (
    url.startsWith(`${scope}litert/`) || FILES.some((name) => new URL(name, scope).href === url)
  );
}

async function answer(request) {
  const cache = await caches.open(NAME);
  const kept = await cache.match(request, {ignoreSearch: true});
  const asked = fetch(request);
  // Another page may live at this address by now: the net is asked first.
  const reply = await (kept ? Promise.race([asked.catch(() => kept), later(kept)]) : asked);
  if (!kept && reply.ok) await cache.put(request, reply.clone());
  const headers = new Headers(reply.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(reply.body, {status: reply.status, statusText: reply.statusText, headers});
}

function later(value) {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE, value));
}
