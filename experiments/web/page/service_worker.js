// Keeps the site for use without a network, after the first visit.
//
// It also adds the headers that isolate the page from other sites. Only then
// may a page compute with several threads, and many hosts set no headers.

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
const LIST = 'files.json'; // {version, files}

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const {method, url} = event.request;
  if (method === 'GET' && url.startsWith(self.registration.scope)) {
    event.respondWith(answer(event.request));
  }
});

async function install() {
  const response = await fetch(LIST, {cache: 'no-cache'});
  const {version, files} = await response.json();
  const cache = await caches.open(version);
  // What only a GPU needs is large, and kept when it is used.
  const needed = files.filter((name) => !/webgpu|asyncify/.test(name));
  await cache.addAll(['./', ...needed]);
  await self.skipWaiting();
}

/** Deletes what older versions of the site kept. */
async function activate() {
  const response = await caches.match('./');
  const names = await caches.keys();
  const newest = names.at(-1);
  if (response) {
    await Promise.all(names.slice(0, -1).map((name) => caches.delete(name)));
  }
  await self.clients.claim();
  return newest;
}

async function answer(request) {
  const kept = await caches.match(request, {ignoreSearch: true});
  const response = kept ?? await fetch(request);
  if (!kept && response.ok) {
    const [version] = (await caches.keys()).slice(-1);
    if (version) await (await caches.open(version)).put(request, response.clone());
  }
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) {
    headers.set(name, value);
  }
  const {status, statusText} = response;
  return new Response(response.body, {status, statusText, headers});
}
