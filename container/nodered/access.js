// Who may use the editor and the dashboard, and what a page may say to Node-RED.
//
// Whoever has the password may do everything. With DASHBOARD_AUTH=others, who sits at the engine's
// own machine needs none for the dashboard; the editor always wants it.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const net = require('node:net');
const { setTimeout: pause } = require('node:timers/promises');
const { promisify } = require('node:util');

const account = JSON.parse(fs.readFileSync(process.env.AUTH_FILE || '/run/nodered/auth.json', 'utf8'));
const open = process.env.DASHBOARD_AUTH === 'others';
const scrypt = promisify(crypto.scrypt);

// -- the password

const PASSWORD_MAX = 128; // characters, see environment.py
const WRONG_MS = 1000;
const WAITING_MAX = 20;

let known = Buffer.alloc(32); // SHA-256 of what was right: scrypt is too slow for every request
let waiting = 0;
let turn = Promise.resolve();

// One after the other, so that many connections guess no faster than one.
async function check(user, password, digest) {
    if (crypto.timingSafeEqual(digest, known)) {
        return true; // since this one began to wait
    }
    const { n: N, r, p, key, salt } = account;
    const right = Buffer.from(key, 'hex');
    const made = await scrypt(password, Buffer.from(salt, 'hex'), right.length, { N, r, p });
    if (crypto.timingSafeEqual(made, right) && user === account.user) {
        known = digest;
        return true;
    }
    await pause(WRONG_MS);
    return false;
}

async function verify(user, password) {
    // a body of /auth/token may hold anything in the place of a string
    if (typeof user !== 'string' || typeof password !== 'string' || password.length > PASSWORD_MAX) {
        return false;
    }
    const digest = crypto.createHash('sha256').update(JSON.stringify([user, password])).digest();
    if (crypto.timingSafeEqual(digest, known)) {
        return true;
    }
    if (waiting >= WAITING_MAX) {
        return false;
    }
    waiting += 1;
    const result = turn.then(() => check(user, password, digest)).finally(() => { waiting -= 1; });
    turn = result.catch(() => false);
    return result;
}

function hasPassword(request) {
    const [, coded] = /^Basic ([\w+/]+=*)$/i.exec(request.headers.authorization || '') || [];
    if (coded === undefined) {
        return false;
    }
    const [user, ...rest] = Buffer.from(coded, 'base64').toString('utf8').split(':');
    return verify(user, rest.join(':'));
}

// -- who comes from the engine's own machine

const loopback = new net.BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

const isIn = (list, address) => list.check(address, net.isIPv6(address) ? 'ipv6' : 'ipv4');

function rows(file) {
    try {
        return fs.readFileSync(file, 'utf8').split('\n').map((line) => line.trim().split(/\s+/));
    } catch {
        return []; // no IPv6
    }
}

// What is published comes from the default gateway: that is the engine's machine. Asked each time,
// as a container may join another network.
function gateways() {
    const found = new net.BlockList();
    for (const [, target, gateway, , , , , mask] of rows('/proc/net/route')) {
        if (target === '00000000' && mask === '00000000' && gateway !== '00000000') {
            // in the order of a little-endian processor
            found.addAddress([...Buffer.from(gateway, 'hex')].reverse().join('.'), 'ipv4');
        }
    }
    for (const [target, length, , , gateway] of rows('/proc/net/ipv6_route')) {
        if (/^0+$/.test(target) && length === '00' && !/^0+$/.test(gateway)) {
            found.addAddress(gateway.match(/.{4}/g).join(':'), 'ipv6');
        }
    }
    return found;
}

// A page of another site may give its own name this machine's address (DNS rebinding), but its
// requests then still say that name.
function isLocalName(host) {
    const [, literal, name] = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d+)?$/i.exec(host || '') || [];
    const text = (literal || name || '').toLowerCase();
    return net.isIP(text) ? isIn(loopback, text) : /^(.+\.)?localhost$/.test(text);
}

function isFromHere(request) {
    const { headers, socket } = request;
    const peer = socket.remoteAddress || '';
    return !headers.forwarded && !headers['x-forwarded-for'] && isLocalName(headers.host)
        && net.isIP(peer) !== 0 && (isIn(loopback, peer) || isIn(gateways(), peer));
}

const mayUse = async (request) => (open && isFromHere(request)) || hasPassword(request);

// -- the doors

// Another site must not show a page of ours in a frame, and have its visitors press buttons.
function unframed(request, response, next) {
    response.set('X-Frame-Options', 'SAMEORIGIN');
    next();
}

async function page(request, response, next) {
    try {
        if (await mayUse(request)) {
            return next();
        }
        response.set('WWW-Authenticate', 'Basic realm="charger", charset="UTF-8"');
        return response.status(401).type('text').send('The dashboard asks for its password.\n');
    } catch (error) {
        return next(error);
    }
}

function isOwnOrigin({ origin, host }) {
    try {
        return origin === undefined || new URL(origin).host === host;
    } catch {
        return false; // "null", or nothing that is an address
    }
}

// A browser sends a password along also when another site's page opens the socket.
async function socket(client, next) {
    try {
        if (!isOwnOrigin(client.request.headers)) {
            return next(new Error('origin not allowed'));
        }
        return next(await mayUse(client.request) ? undefined : new Error('password required'));
    } catch (error) {
        return next(error);
    }
}

// Dashboard 2 takes more from a message than its content: `ui_update` would become the widget's
// template for everybody. Of its events, the page itself needs two; what somebody adds in the editor
// may use the others.
const WIDGET = 'page';
const EVENTS = ['widget-load', 'widget-send'];
const EVENTS_OF_OTHERS = [...EVENTS, 'widget-action', 'widget-change'];
const CONTENT = ['topic', 'payload', '_dashboard'];
const FORBIDDEN = ['ui_update', '__proto__'];

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

function isAllowed([event, id, message]) {
    if (id !== WIDGET) {
        return EVENTS_OF_OTHERS.includes(event) && typeof id === 'string'
            && !(isObject(message) && FORBIDDEN.some((name) => Object.hasOwn(message, name)));
    }
    return event === 'widget-load' || (EVENTS.includes(event) && isObject(message)
        && Object.keys(message).every((name) => CONTENT.includes(name)));
}

function filtered(client, next) {
    client.use((packet, pass) => { if (isAllowed(packet)) { pass(); } });
    next();
}

module.exports = {
    adminAuth: {
        type: 'credentials',
        users: async (name) => (name === account.user ? { username: name, permissions: '*' } : null),
        authenticate: async (name, password) => (
            await verify(name, password) ? { username: name, permissions: '*' } : null),
    },
    unframed,
    page,
    socket: [socket, filtered],
};
