// Node-RED: the dashboard at /ui, and at / the editor of its flows. access.js says who may use them.
const fs = require('node:fs');
const path = require('node:path');

const access = require('./access.js');

const modules = path.dirname(path.dirname(require.main.filename));
const icons = path.join(modules, '@flowfuse/node-red-dashboard/dist');

module.exports = {
    // both kinds of addresses, where the kernel has both
    uiHost: fs.existsSync('/proc/net/if_inet6') ? '::' : '0.0.0.0',
    uiPort: Number(process.env.NODE_RED_PORT || 1880),
    flowFile: 'flows.json',
    credentialSecret: false,
    mqttReconnectTime: 2000,

    httpAdminRoot: '/',
    adminAuth: access.adminAuth,
    httpAdminMiddleware: access.unframed, // every request passes here first
    dashboard: {
        maxHttpBufferSize: 1e6,
        middleware: access.page,
        ioMiddleware: access.socket,
    },
    // the dashboard's page asks for them here, wherever the dashboard itself is
    httpStatic: ['favicon.svg', 'favicon.ico'].map((name) => (
        { path: path.join(icons, name), root: `/dashboard/${name}` })),

    // no nodes that run programs or read and write files
    nodesExcludes: ['90-exec.js', '10-file.js', '23-watch.js'],
    functionExternalModules: false,
    externalModules: {
        autoInstall: false,
        palette: { allowInstall: false, allowUpload: false },
        modules: { allowInstall: false },
    },
    exportGlobalContextKeys: false,

    telemetry: { enabled: false, updateNotification: false },
    diagnostics: { enabled: false, ui: false },
    runtimeState: { enabled: false, ui: false },
    editorTheme: { tours: false, palette: { catalogues: [] }, projects: { enabled: false } },
    logging: { console: { level: 'info', metrics: false, audit: false } },
};
