// How values are written on the page. Pure functions; times are local to whoever looks.

const two = (n) => String(Math.floor(n)).padStart(2, '0');

/** Seconds as `0:07`, `14:58` or `1:02:03`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Seconds in words: `1.4 s`, `12 s`, `21 min`, `5 h 3 min`, `2 days`. */
export function span(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

/** Bytes as `812 B`, `47 kB`, `7.9 MB`, `1.25 GB`. */
export function bytes(count) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = count;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(Math.min(digits, unit))} ${units[unit]}`;
}

/** Bits a second as `402 kb/s` or `1.8 Mb/s`. */
export function bitrate(bits) {
  return bits < 1e6 ? `${Math.round(bits / 1000)} kb/s` : `${(bits / 1e6).toFixed(1)} Mb/s`;
}

/** `06:31:07` of a Date. */
export function clock(date) {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** `Today`, `Yesterday` or `Sat 21 Nov` of a Date, as seen from `now`. */
export function day(date, now = new Date()) {
  const midnight = (when) => new Date(when.getFullYear(), when.getMonth(), when.getDate());
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return date.toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short' });
}

/** `20261121-063107` of a Date, for file names. */
export function stamp(date) {
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}-${clock(date).replaceAll(':', '')}`;
}
