/* Which MQTT a tool talks to: --mqtts, or --mqtt. */
#include "app/app.h"
#include "app/tool.h"
#include "net/tls/tls.h"

#include <string.h>

const char *app_mqtt_given(const char *address)
{
    return address == NULL || strcmp(address, "off") == 0 ? NULL : address;
}

static bool is_tls(const struct options *options)
{
    return app_mqtt_given(options->mqtts) != NULL;
}

const char *tool_mqtt_flag(const struct options *options)
{
    return is_tls(options) ? "mqtts" : "mqtt";
}

const char *tool_mqtt_address(const struct options *options)
{
    return app_mqtt_given(is_tls(options) ? options->mqtts : options->mqtt);
}

bool tool_mqtt_open(struct tool_mqtt *mqtt, const struct options *options)
{
    char why[TLS_WHY_BYTES];
    const char *flag = tool_mqtt_flag(options);
    const char *address = tool_mqtt_address(options);
    if (address == NULL || !options_address(address, mqtt->host, sizeof(mqtt->host), &mqtt->port)) {
        app_complain("--%s: this is not HOST:PORT", flag);
        return false;
    }
    if (!is_tls(options))
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
