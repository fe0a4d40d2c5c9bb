// Keeps the site for use without a network, after the first visit.
//
// It also adds the headers that isolate the page from other sites. Only then
// may a page compute with several threads, and many hosts set no headers.

const VERSION = 'VERSION'; // The build writes a hash of all files here.
const HEADERS = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const {method, url} = event.request;
  if (method === 'GET' && url.startsWith(self.registration.scope)) {
    event.respondWith(answer(event.request));
  }
});

async function install() {
  const response = await fetch('files.json', {cache: 'no-cache'});
  const files = await response.json();
  const cache = await caches.open(VERSION);
  // What only a GPU needs is large, and kept when it is used.
  const needed = files.filter((name) => !/webgpu|asyncify/.test(name));
  await cache.addAll(['./', ...needed]);
  await self.skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name !== VERSION) await caches.delete(name);
  }
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(VERSION);
  let response = await cache.match(request, {ignoreSearch: true});
  if (!response) {
    response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
  }
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  const {status, statusText} = response;
  return new Response(response.body, {status, statusText, headers});
}
