// Package enginetest starts other container engines for tests that hand them our images: [Docker],
// [Containerd], [Podman]. Each gives the variables with which its client finds it. Their sockets, data and
// configuration lie in the test's folder and nothing of the machine's own engines is read; daemons listen on no network and
// end with the test. They need root, but for Podman, which an ordinary user with a subuid range can have, too.
package enginetest
