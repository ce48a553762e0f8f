// Keeps what EVerest says, each value with the time when it was said. What is not of the kind that
// is expected counts as not said: a page must never show 0 for something that nobody knows.
const STALE = 5000;       // ms; EVerest says everything at least once a second
const STOPPED = 6000;     // ms from the end of the car's session until its connection has closed
const UNPLUGGED = 6000;   // ms from unplugging until then
const BROKEN = 9000;      // ms from an error of their connection until EVerest is ready again

const now = Date.now();
const charger = flow.get('charger') || { connectors: {} };
flow.set('charger', charger);

const said = msg.payload;
const number = (value) => (Number.isFinite(value) ? value : null);
const thousandth = (value) => (Number.isFinite(value) ? value / 1000 : null);
const within = (object, ...names) => names.reduce((part, name) => part?.[name], object);
const text = (value, most) => (typeof value === 'string' ? value.slice(0, most) : '');

// evse_manager is connector 1, evse_manager_2 connector 2: see configure.py.
function connector(suffix) {
    const id = suffix === undefined ? 1 : Number(suffix);
    if (id < 1 || id > 16) { return null; }
    charger.connectors[id] ??= { trend: [], values: {}, openUntil: 0 };
    return charger.connectors[id];
}

function keep(of, values) {
    for (const [name, value] of Object.entries(values)) {
        if (value !== null) { of.values[name] = { value, at: now }; }
    }
}

// EVerest begins with Unknown, and has then forgotten a limit and every session.
function state(of, name) {
    const silent = of.at !== undefined && now - of.at > STALE;
    if (silent || name === 'Unknown') {
        Object.assign(of, { limit: undefined, told: undefined, openUntil: 0, stopping: false });
    }
    of.at = now;
    if (name === of.state) { return; }
    Object.assign(of, { state: name, since: now });
    if (name === 'Unplugged' || name === 'Charging') { of.broken = false; }
    if (name === 'Unplugged') {
        of.openUntil = Math.min(of.openUntil, now + UNPLUGGED);
        Object.assign(of, { stopping: false, told: undefined });
    }
}

const evse = {
    session_info(of) {
        if (typeof said?.state !== 'string' || !/^\w{1,40}$/.test(said.state)) { return; }
        state(of, said.state);
        keep(of, {
            kWh: thousandth(said.charged_energy_wh),
            seconds: number(said.charging_duration_s),
            fault: said.permanent_fault === true,
        });
    },
    powermeter(of) {
        keep(of, {
            kW: thousandth(within(said, 'power_W', 'total')),
            volts: number(within(said, 'voltage_V', 'DC')),
            amps: number(within(said, 'current_A', 'DC')),
        });
    },
    telemetry(of) {
        keep(of, { celsius: number(said?.plug_temperature_C) ?? number(said?.temperature) });
    },
    selected_protocol(of) {
        keep(of, { protocol: said === 'Unknown' ? '' : text(said, 40) });
    },
    // The only place where EVerest tells what it allows the car, and when their connection ends.
    // A car that begins again before that gets no answer, and stays in Preparing.
    hlc_log(of) {
        const line = text(said?.msg, 200);
        const told = /^Change HLC Limits: (\d+)W\/(\d+)A/.exec(line);
        if (told) { of.told = { watts: Number(told[1]), amps: Number(told[2]) }; }
        if (line === 'V2G SessionSetupRes') { of.openUntil = Infinity; }
        if (line === 'V2G SessionStopRes') { of.openUntil = now + STOPPED; }
        if (line === 'D-LINK_ERROR.req') {
            of.openUntil = Math.min(of.openUntil, now + BROKEN);
            of.broken = of.broken || Boolean(of.state?.startsWith('ChargingPaused'));
        }
    },
};

function heard(topic) {
    if (topic === 'everest_api/connectors') {
        charger.known = { value: Array.isArray(said) ? said.map(String) : [], at: now };
    } else if (topic === 'everest_api/errors/var/active_errors') {
        const errors = Array.isArray(said) ? said.filter((error) => error?.type) : [];
        charger.errors = { at: now, count: errors.length, value: errors.slice(0, 20).map((error) => ({
            type: text(error.type, 100), message: text(error.message, 300),
            description: text(error.description, 300), severity: text(error.severity, 20),
            origin: text(within(error, 'origin', 'module_id'), 60), since: text(error.timestamp, 40),
        })) };
    } else if (topic === 'everest_api/ocpp/var/connection_status') {
        charger.ocpp = { value: text(said, 20), at: now };
    }
}

const [, module, suffix, what] =
    /^everest_api\/(evse|ev)_manager(?:_(\d{1,2}))?\/var\/(\w+)$/.exec(msg.topic) || [];
const [limits, limited] =
    /\/dc_external_derate_api(?:_(\d{1,2}))?\/m2e\/set_external_derating$/.exec(msg.topic) || [];
const of = module || limits ? connector(limits ? limited : suffix) : null;

if (limits && of) {
    of.limit = { amps: number(said?.max_export_current_A) };
} else if (of && what === 'ev_info') {
    keep(of, { soc: number(said?.soc) });
} else if (of && module === 'evse' && Object.hasOwn(evse, what)) {
    evse[what](of);
} else {
    heard(msg.topic);
}
return null;
