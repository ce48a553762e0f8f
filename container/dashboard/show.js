// Twice a second: what the page shows, and which buttons may be pressed. Nothing that is older than
// a few seconds is shown; without EVerest nothing can be pressed.
const STALE = 5000;        // ms
const GIVEN_UP = 20000;    // ms of a pause after which the car's connection counts as closed
const STUCK = 60000;       // ms in Preparing; 20 s are usual
const SAMPLE = 2000;       // ms between two points of the trends
const POINTS = 300;        // ten minutes

const now = Date.now();
const charger = flow.get('charger') || { connectors: {} };
const fresh = (entry) => (entry && now - entry.at < STALE ? entry.value : null);
const seconds = (time) => Math.ceil((time - now) / 1000);

// DIN 70121 has no pause: a car that is paused loses its session, and one that begins again then
// fails its cable check.
function pausable(of) {
    return of.state === 'Charging' && fresh(of.values.protocol) !== 'DIN70121';
}

function note(of, wait) {
    if (of.broken) {
        return "The pause has broken the car's session: unplug it, and plug it in again.";
    }
    if (of.state === 'Charging' && !pausable(of)) {
        return 'The car charges by DIN 70121, which knows no pause.';
    }
    if (of.state === 'Unplugged' && wait > 0) {
        return `The car can be plugged in again in ${wait} s, when its connection has closed.`;
    }
    if (of.state.startsWith('ChargingPaused') && wait > 0) {
        return Number.isFinite(wait)
            ? `Charging can be resumed in ${wait} s, when the car's connection has closed.`
            : 'Charging can be resumed as soon as the car has closed its connection.';
    }
    if (of.state === 'Preparing' && now - of.since > STUCK) {
        return `The car has been preparing for ${-seconds(of.since)} s and may not answer any more: `
            + 'unplug it, wait ten seconds and plug it in again.';
    }
    return fresh(of.values.fault) ? 'The charger reports a permanent fault.' : '';
}

function permitted(of, closed) {
    const { state } = of;
    return {
        plugIn: state === 'Unplugged' && closed,
        unplug: !['Unplugged', 'Unknown'].includes(state),
        pause: pausable(of),
        pauseCar: pausable(of),
        resume: state === 'ChargingPausedEVSE' && closed && !of.broken,
        resumeCar: state === 'ChargingPausedEV' && closed && !of.broken,
        limit: state !== 'Unknown',
        noLimit: state !== 'Unknown',
    };
}

function shown(of) {
    if (of.at === undefined || now - of.at >= STALE) {
        of.can = {};
        return { state: null, can: of.can, note: '', values: {} };
    }
    if (of.state.startsWith('ChargingPaused') && now - of.since > GIVEN_UP) {
        of.openUntil = Math.min(of.openUntil, now);
    }
    const wait = of.openUntil === Infinity ? Infinity : Math.max(0, seconds(of.openUntil));
    of.can = permitted(of, wait === 0);
    const values = Object.fromEntries(
        Object.keys(of.values).map((name) => [name, fresh(of.values[name])]));
    const limit = of.limit && of.limit.amps;
    return { state: of.state, can: of.can, note: note(of, wait), values, limit, told: of.told };
}

const sampled = now - (charger.sampled ?? 0) >= SAMPLE;
if (sampled) { charger.sampled = now; }

const connectors = {};
for (const [id, of] of Object.entries(charger.connectors)) {
    const one = shown(of);
    connectors[id] = one;
    if (sampled) {
        const { kW = null, volts = null, amps = null, celsius = null } = one.values;
        of.trend.push([now, kW, volts, amps, celsius]);
        of.trend.splice(0, of.trend.length - POINTS);
    }
}

const most = (name, otherwise) => Number(env.get(name)) || otherwise;
return {
    topic: 'now',
    payload: {
        connectors, sampled, now,
        online: fresh(charger.known) !== null,
        ocpp: fresh(charger.ocpp),
        errors: fresh(charger.errors),
        errorCount: charger.errors?.count ?? 0,
        // as in environment.py, which has checked them
        most: { amps: most('EVSE_MAX_CURRENT', 400), kW: most('EVSE_MAX_POWER', 150000) / 1000 },
        version: env.get('OCPP_VERSION') || '1.6',
        identity: env.get('OCPP_ID') || 'CP1',
    },
};
