// What somebody pressed becomes MQTT, if it may be pressed at this moment. Outputs: the page, MQTT.
// The commands of the car and why they are what they are: docs/reference/dashboard.md.
const CHARGE = 'iso_start_v2g_session DC 86400 0;iso_wait_pwr_ready;iso_dc_power_on;'
    + 'iso_wait_for_stop 36000';
const LEAST = 1;           // A; 0 A would end the session for good

const charger = flow.get('charger') || { connectors: {} };
const answer = (topic, payload) => [{ topic, payload, _client: msg._client }, null];

if (msg.topic === 'history') {
    const trends = Object.entries(charger.connectors).map(([id, of]) => [id, of.trend]);
    return answer('history', Object.fromEntries(trends));
}

const { connector, command, value } = msg.payload || {};
const of = Object.hasOwn(charger.connectors, connector) ? charger.connectors[connector] : null;
if (!of || !of.can || !Object.hasOwn(of.can, command)) {
    return answer('refused', 'The charger does not know this command, or has no data.');
}
if (!of.can[command]) {
    return answer('refused', 'That is not possible in this state of the charger.');
}

const suffix = Number(connector) === 1 ? '' : `_${connector}`;
const evse = `everest_api/evse_manager${suffix}/cmd/`;
const car = `everest_external/nodered/${connector}/carsim/cmd/`;
const derating = `everest_api/1/dc_external_derate_consumer/dc_external_derate_api${suffix}`
    + '/m2e/set_external_derating';

const send = (topic, payload) => ({ topic, payload });
const drive = (steps) => send(`${car}modify_charging_session`, steps);

// A car whose session has ended would wait for that end for ever: it is only unplugged then. So it
// is when somebody presses a second time.
function unplug() {
    const orderly = of.state === 'Charging' && !of.stopping;
    of.stopping = true;
    return [drive(orderly ? 'iso_stop_charging;iso_wait_v2g_session_stopped;unplug' : 'unplug')];
}

// The pause has ended the car's session (ISO 15118-2 knows no pause by the charger).
function resume() {
    return [send(`${evse}resume_charging`, ''), drive(`iso_wait_slac_matched;${CHARGE}`)];
}

function limit() {
    const most = Number(env.get('EVSE_MAX_CURRENT')) || 400;
    if (!Number.isFinite(value) || value < LEAST || value > most) { return null; }
    return [send(derating, { max_export_current_A: value })];
}

const commands = {
    plugIn: () => [send(`${car}execute_charging_session`, `sleep 1;iso_wait_slac_matched;${CHARGE}`)],
    unplug,
    pauseCar: () => [drive('iso_pause_charging;iso_wait_for_resume')],
    resumeCar: () => [drive(`iso_start_bcb_toggle 3;iso_wait_pwm_is_running;${CHARGE}`)],
    pause: () => [send(`${evse}pause_charging`, '')],
    resume,
    limit,
    noLimit: () => [send(derating, {})],
};
const messages = commands[command]();
return messages ? [null, messages] : answer('refused', 'The current is out of range.');
