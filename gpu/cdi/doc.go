// Package cdi reads the device descriptions that vendors' tools leave on a machine (Container Device
// Interface, one file for each kind of device below /etc/cdi and /var/run/cdi) and turns the named ones
// into plain data: nodes, files, links and variables of a sandbox. Use [Resolve] for
// `--device amd.com/gpu=0`, [List] for what there is, and [InfiniBand] for the nodes of RDMA.
//
// A description may ask for more than files: hooks, which are programs of the host run on the sandbox
// from outside. None is run. What the known ones do is expressed as data where it can be (links,
// folders of libraries), left out with a note where a sandbox has it anyway, and refused by name
// otherwise.
//
// The parser and the rules of the format are the CNCF library's. Its cache is not used: it reads
// whatever lies in the folders without a limit, waits forever on a pipe, dies on an empty list entry and
// of a mapping with many equal keys; and its default starts a watcher that nobody needs.
package cdi
