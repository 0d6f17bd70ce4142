// The public, web-standard sending and receiving API. It takes a transport and knows no platform.
export {};
