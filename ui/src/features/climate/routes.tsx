import type { ReactNode } from "react";
import { Route, Switch } from "wouter";
import { ClimatePage } from "./ClimatePage";
import { RoomPage } from "./RoomPage";

/** The rooms whose windows open by themselves. */
export default function ClimateRoutes({ fallback }: { fallback: ReactNode }) {
  return (
    <Switch>
      <Route path="/climate">
        <ClimatePage />
      </Route>
      <Route path="/climate/:id">{({ id }) => <RoomPage key={id} id={decodeURIComponent(id)} />}</Route>
      <Route>{fallback}</Route>
    </Switch>
  );
}
