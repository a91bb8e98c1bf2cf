import { Suspense, lazy } from "react";
import { Link } from "wouter";
import { Provenance } from "../../design/Provenance";
import { Lamp } from "../../design/State";
import { EmptyState, ErrorState, Section, Skeleton } from "../../design/States";
import { TimeAgo } from "../../design/Time";
import { t } from "../../i18n";
import { formatNumber } from "../../lib/number";
import { ageSeconds, useNow } from "../../lib/time";
import { DayBand } from "./DayBand";
import { LiveValues } from "./LiveValues";
import { Predictions } from "./Predictions";
import { RoomSection } from "./RoomSection";
import { WhyPanel } from "./WhyPanel";
import { WindowControl } from "./WindowControl";
import { STALE_S, nameOf, positionOf, type Room } from "./room";
import { useRooms } from "./useRooms";

const History = lazy(() => import("./History"));

export function RoomPage({ id }: { id: string }) {
  const { machines, climate, rooms } = useRooms();
  const room = rooms.find((one) => one.machine.machine_id === id);
  if (machines.isPending) return <Skeleton lines={4} height={120} />;
  if (machines.isError && !machines.data)
    return <ErrorState what={id} error={machines.error} onRetry={() => void machines.refetch()} />;
  if (!room)
    return (
      <EmptyState whole title={t.climate.notFound} note={id}>
        <Link href="/climate" className="button button--plain">
          {t.climate.toRooms}
        </Link>
      </EmptyState>
    );
  return (
    <div className="flex flex-col gap-12">
      <Head room={room} />
      {/* On a phone the control comes right under the window it moves. */}
      <div className="grid items-start gap-12 lg:grid-cols-[minmax(0,1fr)_minmax(0,26rem)] lg:grid-rows-[auto_1fr]">
        <Now room={room} />
        <div className="flex min-w-0 flex-col gap-12 lg:col-start-2 lg:row-span-2 lg:row-start-1">
          <WindowControl room={room} />
          {room.window && climate.data && <WhyPanel window={room.window} climate={climate.data} />}
        </div>
        <Section title={t.climate.live}>
          <LiveValues readings={room.readings} />
        </Section>
      </div>
      <DayBand machineId={id} />
      <Suspense fallback={<Skeleton lines={4} height={110} />}>
        <History machineId={id} provenance={positionOf(room)?.provenance ?? null} />
      </Suspense>
      <Predictions machineId={id} />
    </div>
  );
}

function Head({ room }: { room: Room }) {
  const { machine } = room;
  return (
    <header className="flex flex-col gap-2">
      <p>
        <Link href="/climate" className="button button--quiet -ml-2.5">
          {t.climate.toRooms}
        </Link>
      </p>
      <h1 className="font-serif text-head font-medium md:text-display">{nameOf(machine)}</h1>
      <p className="flex flex-wrap items-center gap-x-5 gap-y-1">
        <Lamp
          on={machine.online}
          label={machine.online ? t.climate.heard : t.machine.condition.offline}
          note={machine.last_seen_at ? <TimeAgo at={machine.last_seen_at} /> : t.machine.neverHeard}
        />
        {machine.mqtt !== undefined && (
          <Lamp on={machine.mqtt ? true : null} label={machine.mqtt ? t.climate.mqtt[0] : t.climate.mqtt[1]} />
        )}
        <Link href={`/operations/machines/${encodeURIComponent(machine.machine_id)}`} className="button button--quiet">
          {t.floor.openMachine(nameOf(machine))}
        </Link>
      </p>
    </header>
  );
}

/** The room as it is, with the window's own number large beside it. */
function Now({ room }: { room: Room }) {
  const now = useNow();
  const { machine, window } = room;
  const position = positionOf(room);
  const value = (type: string) => room.readings.find((one) => one.type === type);
  const newest = value("temperature") ?? room.readings[0];
  const running = machine.running?.state === "running" ? machine.running : null;
  const asked = running?.payload?.["position"];
  const target = typeof asked === "number" ? asked : (window?.target ?? null);
  return (
    <section aria-label={t.climate.reading["position"]} className="flex min-w-0 flex-col gap-2">
      <RoomSection
        name={nameOf(machine)}
        position={position?.value ?? null}
        target={running ? target : null}
        temperatureC={value("temperature")?.value ?? null}
        sound={value("sound_volume")?.value ?? null}
        faint={!newest || ageSeconds(newest.at, now) > STALE_S}
        className="block w-full max-w-3xl"
      />
      <p className="flex flex-wrap items-baseline gap-x-4">
        <span className="text-display font-semibold">
          {position === null ? "?" : `${formatNumber(position.value)} %`}
        </span>
        <span className="text-espresso-soft">
          {running && target !== null
            ? `${t.climate.moving}, ${t.climate.target(formatNumber(target))}`
            : position === null
              ? t.climate.positionUnknown
              : position.value < 0.5
                ? t.climate.closed
                : t.climate.openWord}
        </span>
        {position?.at && (
          <span className="flex items-baseline gap-2 text-note text-espresso-soft">
            <TimeAgo at={position.at} staleAfterS={STALE_S} />
            <Provenance of={position.provenance} />
          </span>
        )}
      </p>
    </section>
  );
}
