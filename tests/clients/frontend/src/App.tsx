import { useState } from "react";
import { BookVisit } from "./BookVisit";
import { Calendar } from "./Calendar";
import { go, Link, useAddress } from "./address";
import { Following } from "./changes";
import { Locations } from "./locations";
import { Visit } from "./Visit";
import { VisitsList } from "./VisitsList";

const VIEWS = { list: "Visits", calendar: "Calendar", book: "Book a visit" };

export function App() {
  const address = useAddress();
  const view = address.get("view") ?? "list";
  const visit = address.get("visit");
  const [booked, setBooked] = useState("");

  function onBooked(id: string) {
    setBooked(id);
    go({ visit: id });
  }

  return (
    <>
      <header>
        <p className="brand">Home visits</p>
        <nav aria-label="Main">
          {Object.entries(VIEWS).map(([name, title]) => (
            <Link
              key={name}
              to={{ view: name, location: address.get("location") }}
              aria-current={name === view && !visit ? "page" : undefined}
            >
              {title}
            </Link>
          ))}
        </nav>
      </header>
      <main>
        <Following>
          {visit ? (
            <Visit key={visit} id={visit} done={visit === booked ? "The visit is booked." : ""} />
          ) : view === "book" ? (
            <BookVisit onBooked={onBooked} />
          ) : (
            <Locations>{view === "calendar" ? <Calendar /> : <VisitsList />}</Locations>
          )}
        </Following>
      </main>
    </>
  );
}
