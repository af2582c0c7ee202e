/** addressOf makes what people type an address: +49 30 1234 is tel:+49301234. */
export function addressOf(typed: string): string {
  const s = typed.trim();
  if (/^(sip|sips|h323):[^\s]+$/i.test(s) || /^\d{2,10}$/.test(s)) return s;
  const phone = s.replace(/^tel:/i, "").replace(/[\s()./-]/g, "");
  return /^\+\d{5,15}$/.test(phone) ? `tel:${phone}` : "";
}
