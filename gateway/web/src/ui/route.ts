// Routes of the single page: the path, and links that change it.

import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
const tell = () => listeners.forEach((f) => f());

window.addEventListener("popstate", tell);

// Links within the site change the page without loading it anew.
document.addEventListener("click", (e) => {
  const a = (e.target as Element | null)?.closest?.("a");
  if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target || a.origin !== location.origin) return;
  e.preventDefault();
  go(a.pathname);
});

export function go(path: string) {
  if (path !== location.pathname) history.pushState(null, "", path);
  tell();
  window.scrollTo(0, 0);
}

const subscribe = (f: () => void) => {
  listeners.add(f);
  return () => void listeners.delete(f);
};

/** useRoute gives the parts of the path: /join/1000 is ["join", "1000"]. */
export function useRoute(): string[] {
  const path = useSyncExternalStore(subscribe, () => location.pathname);
  return path.split("/").filter(Boolean).map(safeDecode);
}

function safeDecode(s: string) {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}
