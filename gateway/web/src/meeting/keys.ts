import { useEffect, useRef } from "react";
import type { Call } from "../call/client";

/** keyOf is the shortcut of a key event; empty while typing or with modifiers. */
export function keyOf(e: KeyboardEvent): string {
  const at = e.target as HTMLElement | null;
  if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || e.defaultPrevented) return "";
  if (at?.closest?.("input, textarea, select, [contenteditable], [role=dialog], [role=menu]")) return "";
  return e.key.length === 1 ? e.key.toUpperCase() : "";
}

/** useKeys listens for the shortcuts; help in strings.ts lists them. */
export function useKeys(call: Call, more: Record<string, () => void>) {
  const latest = useRef(more);
  latest.current = more;
  useEffect(() => {
    const keys: Record<string, () => void> = {
      M: () => void call.setMuted(!call.local.muted),
      V: () => void call.setCameraOff(!call.local.cameraOff),
      S: () => void call.share(!call.local.screen),
      H: () => call.raise(!call.local.hand),
    };
    const press = (e: KeyboardEvent) => {
      const act = keys[keyOf(e)] ?? latest.current[keyOf(e)];
      if (!act) return;
      e.preventDefault();
      act();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [call]);
}
