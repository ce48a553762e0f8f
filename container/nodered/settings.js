// Node-RED for one purpose: to show the dashboard at /ui. Nobody can change its flows.

// A page of another site must not press buttons here. The dashboard has a check of its own, but
// only as long as it is given none; this one also lets a browser start with a websocket.
function sameOrigin(socket, next) {
    const { origin, host } = socket.handshake.headers;
    if (origin === undefined) {
        return next(); // not from a page
    }
    try {
        if (new URL(origin).host === host) {
            return next();
        }
    } catch {
        // "null", or nothing that is an address: refused like any other
    }
    return next(new Error('origin not allowed'));
}

module.exports = {
    uiHost: '0.0.0.0',
    uiPort: Number(process.env.NODE_RED_PORT || 1880),
    httpAdminRoot: false,
    readOnly: true,
    credentialSecret: false,
    mqttReconnectTime: 2000,
    dashboard: { maxHttpBufferSize: 1e6, ioMiddleware: [sameOrigin] },

    telemetry: { enabled: false, updateNotification: false },
    diagnostics: { enabled: false, ui: false },
    runtimeState: { enabled: false, ui: false },
    externalModules: {
        autoInstall: false,
        palette: { allowInstall: false, allowUpload: false },
        modules: { allowInstall: false },
    },
    functionExternalModules: false,
    exportGlobalContextKeys: false,
    editorTheme: { tours: false, palette: { catalogues: [] }, projects: { enabled: false } },
    logging: { console: { level: 'info', metrics: false, audit: false } },
};
