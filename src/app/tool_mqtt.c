/* Which MQTT a tool talks to: --mqtts, or --mqtt. */
#include "app/app.h"
#include "app/tool.h"
#include "net/tls/tls.h"

const char *tool_mqtt_address(const struct options *options)
{
    return options->mqtts != NULL ? options->mqtts : options->mqtt;
}

bool tool_mqtt_open(struct tool_mqtt *mqtt, const struct options *options)
{
    char why[TLS_WHY_BYTES];
    const char *flag = options->mqtts != NULL ? "mqtts" : "mqtt";
    const char *address = tool_mqtt_address(options);
    if (address == NULL || !options_address(address, mqtt->host, sizeof(mqtt->host), &mqtt->port)) {
        app_complain("--%s: this is not HOST:PORT", flag);
        return false;
    }
    if (options->mqtts == NULL)
        return true;
    const struct tls_client_options tls = {
        .ca_file = options->cacert, .server = mqtt->host, .protocol = TLS_MQTT};
    if (tls_client_create(&tls, why, &mqtt->tls) == ERR_OK)
        return true;
    app_complain("--%s: %s", flag, why);
    return false;
}

void tool_mqtt_use(const struct tool_mqtt *mqtt, struct mqtt_client_options *client)
{
    client->host = mqtt->host;
    client->port = mqtt->port;
    client->filter = mqtt->tls != NULL ? &tls_client_filter_ops : NULL;
    client->filter_context = mqtt->tls;
}

const char *tool_mqtt_why(const struct tool_mqtt *mqtt)
{
    return mqtt->tls != NULL ? tls_client_why(mqtt->tls) : "";
}

void tool_mqtt_close(struct tool_mqtt *mqtt)
{
    tls_client_destroy(mqtt->tls);
    mqtt->tls = NULL;
}
