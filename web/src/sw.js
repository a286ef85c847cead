// Keeps the page's files, so that it works without a net, and adds the headers
// that threads need and that keep all requests at home, whatever the server.
/* global BUILD, FILES, POLICY */

const NAME = `tfexposure-${BUILD}`;
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
  const {request} = event;
  const within = new URL(request.url).href.startsWith(self.registration.scope);
  if (request.method === 'GET' && within) event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(NAME);
  const known = await cache.match(request, {ignoreSearch: true});
  const reply = known ?? (await fetch(request));
  if (!known && reply.ok && new URL(request.url).pathname.includes('/litert/')) {
    await cache.put(request, reply.clone());
  }
  const headers = new Headers(reply.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(reply.body, {status: reply.status, statusText: reply.statusText, headers});
}
