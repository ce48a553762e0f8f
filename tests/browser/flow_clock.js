// Runs the flow's functions with a clock of its own: node flow_clock.js DIR < STEPS
//
// STEPS is a JSON array of [seconds, topic, payload]; a topic of null is the clock of the flow. What
// `show` returns comes out, one line of JSON for each of them.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const store = new Map();
const flow = { get: (name) => store.get(name), set: (name, value) => store.set(name, value) };
const env = { get: (name) => process.env[name] };
let now = 0;
Date.now = () => now;

const code = (name) => fs.readFileSync(path.join(process.argv[2], `${name}.js`), 'utf8');
const remember = new Function('msg', 'flow', 'env', code('remember'));
const show = new Function('msg', 'flow', 'env', code('show'));

for (const [seconds, topic, payload] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
    now = seconds * 1000;
    if (topic === null) {
        console.log(JSON.stringify(show({}, flow, env).payload));
    } else {
        remember({ topic, payload }, flow, env);
    }
}
console.log(JSON.stringify(flow.get('charger').connectors));
