// Numbers as the language of the page writes them.

import { t } from "../strings";

/** fixed has exactly so many decimals. */
export const fixed = (n: number, decimals: number) =>
  n.toLocaleString(t.locale, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });

/** percent of a share in per cent, with one decimal. */
export const percent = (n: number) => `${fixed(n, 1)} %`;
