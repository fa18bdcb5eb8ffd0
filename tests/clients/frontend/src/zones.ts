// Times of day are those of the location's clocks, wherever the browser stands.

/** `2030-11-04T11:00` as the zone's clocks show it, for inputs of dates and times. */
export function wallTime(instant: string | Date, timeZone: string): string {
  // Swedish writes dates as ISO 8601 does.
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
  return format.format(new Date(instant)).replace(" ", "T");
}

/** The instant when the zone's clocks show this, the first of two where they are set back; null where they are set forward past it. */
export function instantOf(wall: string, timeZone: string): string | null {
  const asUtc = Date.parse(`${wall}Z`);
  if (!(asUtc >= Date.parse(`${EARLIEST}Z`))) return null; // nothing typed yet, or half a year
  const day = 24 * 3_600_000;
  for (const offset of [offsetAt(asUtc - day, timeZone), offsetAt(asUtc + day, timeZone)]) {
    const instant = new Date(asUtc - offset);
    if (wallTime(instant, timeZone) === wall) return instant.toISOString().replace(".000Z", "Z");
  }
  return null;
}

/** Where time zones begin to have whole minutes. */
export const EARLIEST = "1973-01-01";

/** `Mon, 4 Nov 2030, 11:00 GMT`. */
export function spoken(instant: string, timeZone: string): string {
  return new Intl.DateTimeFormat("en-GB", {
    timeZone,
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
  }).format(new Date(instant));
}

/** What the calendar says there now. */
export function today(timeZone: string): string {
  return wallTime(new Date(), timeZone).slice(0, 10);
}

export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

function offsetAt(milliseconds: number, timeZone: string): number {
  return Date.parse(`${wallTime(new Date(milliseconds), timeZone)}Z`) - Math.floor(milliseconds / 60_000) * 60_000;
}
