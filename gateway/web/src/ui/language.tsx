import { choose, languages, t } from "../strings";

/** LanguageChoice offers each language by its own name. */
export function LanguageChoice() {
  const now = document.documentElement.lang;
  return (
    <div role="group" aria-label={t.language} className="flex flex-wrap gap-1">
      {languages.map(([code, name]) => (
        <button
          key={code} type="button" lang={code} aria-pressed={code === now} onClick={() => choose(code)}
          className="min-h-9 rounded-md px-2 text-soft hover:underline aria-pressed:font-semibold aria-pressed:text-ink"
        >
          {name}
        </button>
      ))}
    </div>
  );
}
