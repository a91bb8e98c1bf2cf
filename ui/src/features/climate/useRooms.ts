import { useQuery } from "@tanstack/react-query";
import { climateQuery, machinesQuery, readingsQuery } from "../../lib/queries";
import { roomsOf, type Room } from "./room";

/** The three answers a room is made of. What is missing of the last two leaves a room without numbers, not without name. */
export function useRooms() {
  const machines = useQuery(machinesQuery);
  const climate = useQuery(climateQuery);
  const readings = useQuery(readingsQuery);
  const rooms: Room[] = machines.data ? roomsOf(machines.data, climate.data, readings.data ?? []) : [];
  return { machines, climate, readings, rooms };
}
