// The server: sessions, the record log, live delivery and HTTP.
export {};
