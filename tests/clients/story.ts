// What each TypeScript client here is put through, so that all can be held against the same answers.

export interface Booking {
  careEnquiry: string;
  dateTime: string;
  host: "MANAGER";
  visitType: "IN_PERSON" | "VIRTUAL";
  assignedTo?: string;
  serviceUserContact?: string;
  idempotencyKey?: string;
  notes?: string;
}

/** What a form offers: the ID to send, and the words to show. */
export interface Choice {
  id: string;
  label: string;
}

/** Whom a visit can be booked for, with those who may attend instead. */
export interface EnquiryChoice extends Choice {
  contacts: Choice[];
}

export interface Appointment {
  location: string;
  dateTime: string;
  host: "MANAGER";
  assignedTo: string;
}

/** Which visits a dashboard counts: a location's, on days in its time zone. */
export interface Period {
  location: string;
  startDate: string;
  endDate: string;
  timeZone: string;
}

/** Which visits a list has. */
export interface ListFilter {
  location: string[];
  status: ("PENDING" | "CANCELLED")[];
  startDate: string;
  /** What only the gateway can find. */
  keyword?: string;
}

type Answer = { __typename: string; homeVisit?: { id: string; version: number } } | null;

/** A small visits screen: its list, its buttons, and what it tells its user. */
export interface Screen<Booked extends Answer, Changed> {
  open(end: "first" | "last"): Promise<unknown>;
  pageOn(): Promise<unknown>;
  pageBack(): Promise<unknown>;
  rows(): string[];
  findEnquiries(search: string): Promise<EnquiryChoice[]>;
  findLocations(search: string): Promise<Choice[]>;
  findUsers(location: string): Promise<Choice[]>;
  /** The pending visits that a booking would stand beside. */
  findConflicts(appointment: Appointment): Promise<string[]>;
  count(period: Period, groupBy: ("DAY" | "STATUS")[]): Promise<string[]>;
  /** Other lists, of a client with a cache: they and the rows follow what is changed without being asked for again. */
  beside?: {
    open(filter: ListFilter): Promise<unknown>;
    rows(filter: ListFilter): string[] | undefined;
    pause(): Promise<unknown>;
  };
  book(booking: Booking): Promise<Booked>;
  move(id: string, dateTime: string, expectedVersion: number): Promise<Changed>;
  cancel(id: string): Promise<Changed>;
  say(result: Booked | Changed): string;
  /** Asks for a first page of so many visits. */
  ask(size: number): Promise<unknown>;
  /** What the gateway said when it refused a request as a whole. */
  explain(error: unknown): string;
}

export const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const NOWHERE = "0".repeat(24);

/** Plays a day at the screen and prints what was seen, as JSON. */
export async function play<Booked extends Answer, Changed>(screen: Screen<Booked, Changed>): Promise<void> {
  const list: Record<string, string[]> = {};
  const form: Record<string, string[]> = {};
  const dashboard: Record<string, string[]> = {};
  const kept: Record<string, Record<string, string[] | undefined>> = {};
  const messages: Record<string, string> = {};

  await screen.open("last");
  list["opened at the end"] = screen.rows();
  await screen.pageBack();
  list["paged back"] = screen.rows();
  await screen.open("first");
  list["opened"] = screen.rows();
  await screen.pageOn();
  list["paged on"] = screen.rows();

  const enquiries = await screen.findEnquiries("agnes you");
  const locations = await screen.findLocations("willow");
  const [elsewhere] = await screen.findLocations("harbour");
  const [enquiry] = enquiries;
  const [location] = locations;
  if (!enquiry || !location || !elsewhere) throw new Error("Nobody was found.");
  const users = await screen.findUsers(location.id);
  const assignedTo = users.at(-1)?.id ?? "";
  const appointment: Appointment = { location: location.id, dateTime: "2031-05-04T09:30:00Z", host: "MANAGER", assignedTo };
  const free = { ...appointment, dateTime: "2031-05-07T10:00:00+01:00" };
  form["for"] = enquiries.map(({ label, contacts }) => [label, ...contacts.map((contact) => contact.label)].join(", "));
  form["at"] = locations.map(({ label }) => label);
  form["assigned to"] = users.map(({ label }) => label);
  form["beside"] = await screen.findConflicts(appointment);
  form["beside, at another time"] = await screen.findConflicts(free);

  const others: Record<string, ListFilter> = {
    cancelled: { location: [location.id], status: ["CANCELLED"], startDate: "2031-05-01" },
    elsewhere: { location: [elsewhere.id], status: ["PENDING"], startDate: "2031-05-01" },
  };
  const garden: ListFilter = { location: [location.id], status: ["PENDING"], startDate: "2031-05-01", keyword: "garden" };
  if (screen.beside) await screen.beside.open(garden);
  for (const filter of Object.values(others)) await screen.beside?.open(filter);
  /** Keeps what is shown, once the visits at these times, and no others, were found by keyword. */
  const keep = async (step: string, ...found: string[]) => {
    const times = () => screen.beside?.rows(garden)?.map((row) => row.split(" ")[0]);
    const end = Date.now() + 5_000;
    while (screen.beside && times()?.join() !== found.join() && Date.now() < end) await screen.beside.pause();
    const besides = Object.entries(others).map(([name, filter]) => [name, screen.beside?.rows(filter)]);
    kept[step] = { list: screen.rows(), garden: screen.beside?.rows(garden), ...Object.fromEntries(besides) };
  };

  const booking: Booking = {
    careEnquiry: enquiry.id,
    dateTime: free.dateTime,
    host: "MANAGER",
    visitType: "IN_PERSON",
    assignedTo,
    serviceUserContact: enquiry.contacts[0]?.id ?? "",
    notes: "Would like to see the garden.",
  };
  const idempotencyKey = crypto.randomUUID(); // made with the form, so that sending the form again books nothing again
  const booked = await screen.book({ ...booking, idempotencyKey });
  messages["booked"] = screen.say(booked);
  messages["booked again"] = screen.say(await screen.book({ ...booking, idempotencyKey }));
  await keep("booked", "2031-05-07T09:00:00Z");
  messages["another visit with the same key"] = screen.say(
    await screen.book({ ...booking, visitType: "VIRTUAL", idempotencyKey }),
  );
  messages["booked for nobody"] = screen.say(await screen.book({ ...booking, careEnquiry: NOWHERE }));
  if (!booked?.homeVisit) throw new Error(messages["booked"]);

  const { id, version } = booked.homeVisit;
  messages["moved"] = screen.say(await screen.move(id, "2031-05-08T09:00:00Z", version));
  await keep("moved", "2031-05-08T09:00:00Z");
  messages["moved by one who had not seen that"] = screen.say(await screen.move(id, "2031-05-09T09:00:00Z", version));

  messages["cancelled"] = screen.say(await screen.cancel(id));
  await keep("cancelled");
  messages["cancelled again"] = screen.say(await screen.cancel(id));
  messages["cancelled nothing"] = screen.say(await screen.cancel(NOWHERE));

  const late = await screen.book({ ...booking, dateTime: appointment.dateTime });
  messages["booked beside another"] = screen.say(late);
  if (screen.beside && late?.homeVisit) {
    await screen.move(late.homeVisit.id, "2031-05-02T10:00:00Z", 1);
    await keep("moved between", "2031-05-02T10:00:00Z");
    await screen.move(late.homeVisit.id, appointment.dateTime, 2);
    await keep("moved back", appointment.dateTime);
  }

  const period: Period = { location: location.id, startDate: "2031-05-01", endDate: "2031-05-31", timeZone: "Europe/London" };
  dashboard["by day"] = await screen.count(period, ["DAY"]);
  dashboard["by status"] = await screen.count(period, ["STATUS"]);
  dashboard["by day and status"] = await screen.count(period, ["DAY", "STATUS"]);

  const answered = () => "It was answered.";
  messages["asked for too many"] = await screen.ask(101).then(answered, screen.explain);
  messages["asked for more than an Int holds"] = await screen.ask(2 ** 31).then(answered, screen.explain);

  console.log(JSON.stringify({ list, form, messages, dashboard, kept: screen.beside ? kept : null }));
}
