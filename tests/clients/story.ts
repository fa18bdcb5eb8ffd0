// What each TypeScript client here is put through, so that all can be held against the same answers.

export interface Booking {
  careEnquiry: string;
  dateTime: string;
  host: "MANAGER";
  visitType: "IN_PERSON" | "VIRTUAL";
  idempotencyKey?: string;
}

type Answer = { __typename: string; homeVisit?: { id: string; version: number } } | null;

/** A small visits screen: its list, its buttons, and what it tells its user. */
export interface Screen<Booked extends Answer, Changed> {
  open(end: "first" | "last"): Promise<unknown>;
  pageOn(): Promise<unknown>;
  pageBack(): Promise<unknown>;
  rows(): string[];
  /** Whether the rows follow what is booked, moved and cancelled without being asked for again. */
  keepsUp: boolean;
  book(form: Booking): Promise<Booked>;
  move(id: string, dateTime: string, expectedVersion: number): Promise<Changed>;
  cancel(id: string): Promise<Changed>;
  say(result: Booked | Changed): string;
  /** Asks for a first page of so many visits. */
  ask(size: number): Promise<unknown>;
  /** What the gateway said when it refused a request as a whole. */
  explain(error: unknown): string;
}

const NOWHERE = "0".repeat(24);

/** Plays a day at the screen and prints what was seen, as JSON. */
export async function play<Booked extends Answer, Changed>(screen: Screen<Booked, Changed>): Promise<void> {
  const list: Record<string, string[]> = {};
  const kept: Record<string, string[]> = {};
  const messages: Record<string, string> = {};

  await screen.open("last");
  list["opened at the end"] = screen.rows();
  await screen.pageBack();
  list["paged back"] = screen.rows();
  await screen.open("first");
  list["opened"] = screen.rows();
  await screen.pageOn();
  list["paged on"] = screen.rows();

  const careEnquiry = process.env["CARE_ENQUIRY"] ?? "";
  const form: Booking = { careEnquiry, dateTime: "2031-05-07T10:00:00+01:00", host: "MANAGER", visitType: "IN_PERSON" };
  const idempotencyKey = crypto.randomUUID(); // made with the form, so that sending the form again books nothing again
  const booked = await screen.book({ ...form, idempotencyKey });
  messages["booked"] = screen.say(booked);
  messages["booked again"] = screen.say(await screen.book({ ...form, idempotencyKey }));
  kept["booked"] = screen.rows();
  messages["another visit with the same key"] = screen.say(await screen.book({ ...form, visitType: "VIRTUAL", idempotencyKey }));
  messages["booked for nobody"] = screen.say(await screen.book({ ...form, careEnquiry: NOWHERE }));
  if (!booked?.homeVisit) throw new Error(messages["booked"]);

  const { id, version } = booked.homeVisit;
  messages["moved"] = screen.say(await screen.move(id, "2031-05-08T09:00:00Z", version));
  kept["moved"] = screen.rows();
  messages["moved by one who had not seen that"] = screen.say(await screen.move(id, "2031-05-09T09:00:00Z", version));

  messages["cancelled"] = screen.say(await screen.cancel(id));
  kept["cancelled"] = screen.rows();
  messages["cancelled again"] = screen.say(await screen.cancel(id));
  messages["cancelled nothing"] = screen.say(await screen.cancel(NOWHERE));

  const answered = () => "It was answered.";
  messages["asked for too many"] = await screen.ask(101).then(answered, screen.explain);
  messages["asked for more than an Int holds"] = await screen.ask(2 ** 31).then(answered, screen.explain);

  console.log(JSON.stringify({ list, messages, kept: screen.keepsUp ? kept : null }));
}
