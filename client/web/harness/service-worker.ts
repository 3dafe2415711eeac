/** Keeps the page's own files, so that it opens without a connection. Weights are none of its business. */

declare const self: ServiceWorkerGlobalScope;

/** Put in by the build (cli/build-page.ts): a hash over the files, and their names. */
declare const SHELL_VERSION: string;
declare const SHELL_FILES: readonly string[];

const CACHE = `aerie-shell-${SHELL_VERSION}`;
const shell = new Set(SHELL_FILES.map((file) => new URL(file, self.registration.scope).href));
const page = self.registration.scope;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll([page, ...shell].map((url) => new Request(url, { cache: "reload" })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys())
        if (name.startsWith("aerie-shell-") && name !== CACHE) await caches.delete(name);
      await self.clients.claim();
    })(),
  );
});

// The names of scripts carry their hash, so what is kept is right. The page itself is as old as its service worker, which the
// browser looks for anew at every visit.
self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  const [address] = url.split(/[?#]/);
  const isPage = mode === "navigate" && address === page;
  if (method !== "GET" || (!isPage && !shell.has(url))) return;
  event.respondWith(
    (async () => (await caches.match(isPage ? page : url, { cacheName: CACHE })) ?? fetch(event.request))(),
  );
});
