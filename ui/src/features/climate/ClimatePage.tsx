import { useState } from "react";
import { Link } from "wouter";
import { TextField } from "../../design/Field";
import { Provenance } from "../../design/Provenance";
import { EmptyState, ErrorState, Skeleton } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";
import { useRights } from "../../lib/session";
import { ageSeconds, useNow } from "../../lib/time";
import type { Climate } from "../../lib/types";
import { nameOfType, unitOfType } from "./LiveValues";
import { ModelCard } from "./ModelCard";
import { Policy } from "./Policy";
import { Refusals } from "./Refusals";
import { RoomSection } from "./RoomSection";
import { DIGITS, SIGNALS, STALE_S, decisionText, nameOf, positionOf, type Room } from "./room";
import { useRooms } from "./useRooms";

const MANY = 12; // rooms; beyond, a field to find one

/** All rooms with a window of ours, the model that decides, and what did not make sense. */
export function ClimatePage() {
  const { machines, climate, readings, rooms } = useRooms();
  const rights = useRights();
  const now = useNow();
  const [wanted, setWanted] = useState("");
  if (machines.isPending) return <Skeleton lines={3} height={180} />;
  if (machines.isError && !machines.data)
    return <ErrorState what={t.climate.title} error={machines.error} onRetry={() => void machines.refetch()} />;
  const stale = rooms.filter((room) => isStale(room, now)).length;
  const shown = rooms.filter((room) => nameOf(room.machine).toLowerCase().includes(wanted.trim().toLowerCase()));
  const one = rooms.length === 1;
  return (
    <div className={`grid gap-12 ${one ? "lg:grid-cols-2" : ""}`}>
      <header className="lg:col-span-full">
        <h1 className="font-serif text-head font-medium md:text-display">{t.climate.headline(rooms.length, stale)}</h1>
      </header>
      {rooms.length === 0 ? (
        <EmptyState title={t.climate.emptyTitle} note={t.climate.emptyNote} />
      ) : (
        <section aria-label={t.climate.rooms} className="flex flex-col gap-6">
          {rooms.length > MANY && (
            <div className="max-w-sm">
              <TextField label={t.climate.findRoom} value={wanted} onText={setWanted} />
            </div>
          )}
          {shown.length === 0 && <p className="text-espresso-soft">{t.climate.noneFound}</p>}
          <ul className={one ? "" : "grid gap-10 sm:grid-cols-2 lg:grid-cols-3"}>
            {shown.map((room) => (
              <li key={room.machine.machine_id}>
                <RoomCard room={room} climate={climate.data} stale={isStale(room, now)} />
              </li>
            ))}
          </ul>
          {climate.isError && !climate.data && (
            <ErrorState what={t.climate.why} error={climate.error} onRetry={() => void climate.refetch()} />
          )}
          {readings.isError && !readings.data && (
            <ErrorState what={t.climate.live} error={readings.error} onRetry={() => void readings.refetch()} />
          )}
        </section>
      )}
      {/* One room leaves place for the model beside it. */}
      {rights.staff && one && <ModelCard />}
      {rights.staff && (
        <div className="grid items-start gap-12 lg:col-span-full lg:grid-cols-2">
          {!one && <ModelCard />}
          {one ? (
            <>
              <Refusals />
              <Policy />
            </>
          ) : (
            <div className="flex flex-col gap-12">
              <Refusals />
              <Policy />
            </div>
          )}
        </div>
      )}
    </div>
  );
}

function isStale(room: Room, nowS: number): boolean {
  const newest = room.readings.reduce((latest, one) => (one.at > latest ? one.at : latest), "");
  return newest === "" || ageSeconds(newest, nowS) > STALE_S;
}

function RoomCard({ room, climate, stale }: { room: Room; climate: Climate | undefined; stale: boolean }) {
  const { machine, window } = room;
  const name = nameOf(machine);
  const value = (type: string) => room.readings.find((one) => one.type === type);
  const position = positionOf(room);
  const newest = value("temperature") ?? room.readings[0];
  return (
    <article aria-label={name} className="flex flex-col gap-3">
      <Link href={`/climate/${encodeURIComponent(machine.machine_id)}`} tabIndex={-1} aria-hidden="true">
        <RoomSection
          name={name}
          position={position?.value ?? null}
          target={window?.target ?? null}
          temperatureC={value("temperature")?.value ?? null}
          sound={value("sound_volume")?.value ?? null}
          faint={stale}
          className="block w-full"
        />
      </Link>
      <h2 className="font-serif text-title font-medium">
        <Link
          href={`/climate/${encodeURIComponent(machine.machine_id)}`}
          className="-my-2 inline-block py-2 underline-offset-4 hover:underline"
        >
          {name}
        </Link>
      </h2>
      <p className="flex flex-wrap gap-x-5 gap-y-1">
        <span className="font-semibold">
          {position === null
            ? t.climate.positionUnknown
            : position.value < 0.5
              ? t.climate.closed
              : t.climate.openPercent(formatNumber(position.value))}
        </span>
        {SIGNALS.map((type) => {
          const reading = value(type);
          return (
            reading && (
              <span key={type}>
                <span className="sr-only">{nameOfType(type)} </span>
                {formatNumber(reading.value, DIGITS[type] ?? 1)}{" "}
                <span className="text-espresso-soft">
                  {type === "sound_volume" ? nameOfType(type).toLowerCase() : unitOfType(type, reading.unit)}
                </span>
              </span>
            )
          );
        })}
      </p>
      {window && climate && <p className="text-espresso-soft">{decisionText(window, climate.confidence_min)}</p>}
      {newest && (
        <p className="flex flex-wrap items-center gap-2 text-note text-espresso-soft">
          <TimeAgo at={newest.at} staleAfterS={STALE_S} />
          <Provenance of={newest.provenance} />
        </p>
      )}
    </article>
  );
}
