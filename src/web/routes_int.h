/* Inside web: the functions of the route table. */
#ifndef AUTOMAT_WEB_ROUTES_INT_H
#define AUTOMAT_WEB_ROUTES_INT_H

#include "web/web_int.h"

/* answer at once */
void web_check(struct web *web, struct http_request *req, struct web_front *front);
void web_openapi(struct web *web, struct http_request *req, struct web_front *front);
void web_healthz(struct web *web, struct http_request *req, struct web_front *front);
void web_readyz(struct web *web, struct http_request *req, struct web_front *front);

/* devices */
void web_command_update(struct web_call *call);
void web_command_progress(struct web_call *call);
void web_hello(struct web_call *call);
void web_machine_progress(struct web_call *call);

/* commands */
void web_command_create(struct web_call *call);
void web_command_list(struct web_call *call);
void web_command_show(struct web_call *call);
void web_command_history(struct web_call *call);
void web_command_curve(struct web_call *call);
void web_command_cancel(struct web_call *call);
void web_command_approve(struct web_call *call);
void web_command_settle(struct web_call *call);

/* machines */
void web_machine_list(struct web_call *call);
void web_machine_add(struct web_call *call);
void web_machine_show(struct web_call *call);
void web_machine_hold(struct web_call *call);
void web_machine_release(struct web_call *call);
void web_machine_admit(struct web_call *call);
void web_machine_block(struct web_call *call);
void web_machine_configure(struct web_call *call);
void web_machine_describe(struct web_call *call);
void web_machine_token_list(struct web_call *call);
void web_machine_token_add(struct web_call *call);
void web_machine_token_revoke(struct web_call *call);

/* readings and rooms */
void web_readings_add(struct web_call *call);
void web_telemetry_latest(struct web_call *call);
void web_telemetry_series(struct web_call *call);
void web_telemetry_export(struct web_call *call);
void web_telemetry_refusals(struct web_call *call);
void web_telemetry_policy_show(struct web_call *call);
void web_telemetry_policy_set(struct web_call *call);
void web_climate_show(struct web_call *call);
void web_climate_mode(struct web_call *call);
void web_climate_predictions(struct web_call *call);
void web_climate_model(struct web_call *call);
void web_climate_model_errors(struct web_call *call);
void web_climate_rollback(struct web_call *call);

/* language models */
void web_lm_generate(struct web_call *call);
void web_lm_chat(struct web_call *call);
void web_lm_summarize(struct web_call *call);
void web_lm_classify(struct web_call *call);
void web_lm_models(struct web_call *call);
void web_lm_train(struct web_call *call);
void web_lm_jobs(struct web_call *call);
void web_lm_job(struct web_call *call);
void web_lm_job_cancel(struct web_call *call);
void web_lm_save(struct web_call *call);
void web_v1_chat(struct web_call *call);
void web_v1_models(struct web_call *call);
void web_v1_model(struct web_call *call);

/* people */
void web_session_show(struct web_call *call);
void web_session_open(struct web_call *call);
void web_session_close(struct web_call *call);
void web_session_link(struct web_call *call);
void web_account_list(struct web_call *call);
void web_account_add(struct web_call *call);
void web_account_change(struct web_call *call);
void web_account_password(struct web_call *call);
void web_token_list(struct web_call *call);
void web_token_add(struct web_call *call);
void web_token_revoke(struct web_call *call);

/* the server and its records */
void web_kind_list(struct web_call *call);
void web_alert_list(struct web_call *call);
void web_alert_acknowledge(struct web_call *call);
void web_audit_list(struct web_call *call);
void web_audit_verify(struct web_call *call);
void web_metrics_show(struct web_call *call);

#endif
