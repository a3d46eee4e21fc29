package envfile

// machineKeys are the keys of what a run gets of the machine.
func machineKeys() []keyDef {
	return []keyDef{
		{path: "gpu", typ: typeTable, flags: "P", doc: "what the code wants of GPUs"},
		{path: "gpu.need", typ: typeText, def: `"none"`, values: []string{"none", "optional", "required"}, doc: "whether it needs any"},
		{path: "gpu.count", typ: typeInt, def: "1", doc: "how many"},
		{path: "gpu.min-memory", typ: typeSize, doc: "free memory of each"},
		{path: "gpu.total-memory", typ: typeSize, doc: "memory of each, free or not"},
		{path: "gpu.compute", typ: typeText, check: checkCompute, doc: `compute capability, ">=8.0,<10.0"`},
		{path: "gpu.name", typ: typeText, doc: "part of the model's name"},
		{path: "gpu.mig", typ: typeText, check: checkMIG, doc: `MIG profile, "1g.10gb"`},
		{path: "gpu.share", typ: typeBool, def: "false", doc: "whether others may use it at the same time"},
		{path: "gpu.wait", typ: typeDuration, doc: "how long to wait for a free one"},
		{path: "gpu.caps", typ: typeList, values: []string{"compute", "utility", "video", "graphics", "display", "ngx", "compat32", "all"}, doc: "which parts of the driver; by default what the image asks for, else compute and utility"},

		{path: "devices", typ: typeTable, flags: "PH", doc: "other devices"},
		{path: "devices.cdi", typ: typeList, check: checkCDI, doc: "CDI names, vendor.com/class=name"},
		{path: "devices.infiniband", typ: typeText, values: []string{"auto", "none"}, def: `"none"`, doc: "auto gives what the machine has"},

		{path: "env", typ: typeTable, doc: "environment of the processes"},
		{path: "env.set", typ: typeTable, flags: "EP", name: checkEnvName, doc: "variables and their values"},
		{path: "env.set.NAME", typ: typeText, lines: true, doc: "its value"},
		{path: "env.pass", typ: typeList, flags: "PH", check: checkEnvName, doc: "names taken from the host's environment; locale, TERM, TZ, proxy variables and, inside a job, the scheduler's variables pass by themselves"},

		{path: "secrets", typ: typeTable, flags: "PH", name: checkEnvName, doc: "values that are declared here and bound on the machine only; never in image, layer, lock, log, argv or record"},
		{path: "secrets.NAME", typ: typeTable, secret: true, later: anyValue(), doc: "one secret"},
		{path: "secrets.NAME.scope", typ: typeText, def: `"run"`, values: []string{"run", "build"}, doc: "when it is there"},
		{path: "secrets.NAME.as", typ: typeText, def: `"env"`, check: checkSecretAs, doc: "env, or an absolute path for a file"},
		{path: "secrets.NAME.optional", typ: typeBool, def: "false", doc: "whether it may be missing"},
		{path: "secrets.NAME.about", typ: typeText, doc: "what it is for"},

		{path: "mounts", typ: typeTable, flags: "PH", name: checkWord, doc: "folders and files beside the project; kind host needs consent"},
		{path: "mounts.NAME", typ: typeTable, doc: "one mount"},
		{path: "mounts.NAME.to", typ: typeText, required: true, check: checkTarget, doc: "where it is mounted"},
		{path: "mounts.NAME.kind", typ: typeText, required: true, values: []string{"project", "cache", "volume", "tmpfs", "host"}, doc: "project is a path of the project; host is a need, bound on the machine"},
		{path: "mounts.NAME.from", typ: typeText, check: checkInProject, doc: "path of the project, of kind project"},
		{path: "mounts.NAME.mode", typ: typeText, def: `"ro" for kind host, else "rw"`, values: []string{"rw", "ro"}, doc: "whether it can be written"},
		{path: "mounts.NAME.scope", typ: typeText, def: `"user"`, values: []string{"user", "project"}, doc: "who shares it, of kind cache"},
		{path: "mounts.NAME.optional", typ: typeBool, def: "false", doc: "whether it may be missing"},
		{path: "mounts.NAME.about", typ: typeText, doc: "what it is for"},
		{path: "mounts.NAME.size", typ: typeSize, doc: "how large, of kind tmpfs"},
	}
}

// runKeys are the keys of what bounds a run.
func runKeys() []keyDef {
	return []keyDef{
		{path: "network", typ: typeTable, flags: "P", doc: "what the processes can reach"},
		{path: "network.mode", typ: typeText, def: `"host"`, values: []string{"host", "none", "private"}, later: []string{"private"}, doc: "host is the machine's network, private one of its own"},
		{path: "network.allow", typ: typeList, check: checkHostPort, later: anyValue(), doc: `the only targets of a private network, "host:port"`},
		{path: "network.publish", typ: typeList, flags: "EPH", check: checkPublish, later: anyValue(), doc: "[ADDR:]HOST:PORT; needs consent beyond loopback"},

		{path: "needs", typ: typeTable, flags: "P", doc: "what the machine must have: refused early, requested from a scheduler"},
		{path: "needs.memory", typ: typeSize, doc: "memory"},
		{path: "needs.cpus", typ: typeNumber, doc: "processors"},
		{path: "needs.disk", typ: typeSize, doc: "free disk"},

		{path: "limits", typ: typeTable, flags: "P", doc: "caps of a run; memory, cpus and pids are kept by the kernel where a cgroup v2 is delegated to the user, else it is said"},
		{path: "limits.memory", typ: typeSize, doc: "memory"},
		{path: "limits.cpus", typ: typeNumber, doc: "processors"},
		{path: "limits.pids", typ: typeInt, doc: "processes and threads"},
		{path: "limits.time", typ: typeDuration, doc: "wall clock: then the program is told to end (SIGTERM) and ten seconds later killed, and the exit code is 124"},
		{path: "limits.shm", typ: typeSize, doc: "size of /dev/shm"},
		{path: "limits.disk", typ: typeSize, idle: true, doc: "disk; a run says that it is not enforced"},

		{path: "isolation", typ: typeTable, flags: "PH", doc: "what the sandbox loosens"},
		{path: "isolation.allow", typ: typeList, values: []string{"perf", "nested", "ptrace"}, later: []string{"perf", "nested"}, doc: "what is allowed"},
	}
}

// taskKeys are the keys of tasks and services.
func taskKeys() []keyDef {
	return []keyDef{
		{path: "task", typ: typeTable, flags: "P", name: checkWord, doc: "named commands; default is what an exported image runs"},
		{path: "task.NAME", typ: typeTable, doc: "one task; its tables are merged over those of the file"},
		{path: "task.NAME.run", typ: typeCommand, flags: "EP", lines: true, doc: `a string is sh -c '… "$@"' NAME ARGS, a list is executed with ARGS appended`},
		{path: "task.NAME.about", typ: typeText, doc: "what it does"},
		{path: "task.NAME.gpu", typ: typeTable, like: "gpu", doc: "as [gpu]"},
		{path: "task.NAME.limits", typ: typeTable, like: "limits", doc: "as [limits]"},
		{path: "task.NAME.needs", typ: typeTable, like: "needs", doc: "as [needs]"},
		{path: "task.NAME.env", typ: typeTable, like: "env", doc: "as [env]"},
		{path: "task.NAME.mounts", typ: typeTable, like: "mounts", doc: "as [mounts]"},
		{path: "task.NAME.network", typ: typeTable, like: "network", doc: "as [network]"},
		{path: "task.NAME.workdir", typ: typeText, check: checkWorkdir, doc: "folder it runs in"},
		{path: "task.NAME.user", typ: typeText, check: checkUser, doc: "as image.user"},
		{path: "task.NAME.secrets", typ: typeList, check: checkEnvName, later: anyValue(), doc: "the secrets it sees; all of scope run if it does not say"},
		{path: "task.NAME.inputs", typ: typeList, flags: "PH", check: checkPath, idle: true, doc: "files and globs it reads, hashed into the run record"},
		{path: "task.NAME.outputs", typ: typeList, check: checkInProject, idle: true, doc: "files and globs it makes, hashed into the run record"},
		{path: "task.NAME.depends", typ: typeList, check: checkWord, doc: "tasks that run before it"},

		{path: "service", typ: typeTable, flags: "LP", name: checkWord, doc: "named long-running commands"},
		{path: "service.NAME", typ: typeTable, like: "task.NAME", later: anyValue(), doc: "one service: as a task, and"},
		{path: "service.NAME.image", typ: typeText, check: checkBase, doc: "its image; without it, this environment"},
		{path: "service.NAME.volumes", typ: typeTable, name: checkWord, doc: "volumes and where they are mounted"},
		{path: "service.NAME.volumes.NAME", typ: typeText, check: checkTarget, doc: "where it is mounted"},
		{path: "service.NAME.publish", typ: typeList, flags: "LPH", check: checkPublish, doc: "as network.publish"},
		{path: "service.NAME.ready", typ: typeTable, doc: "how to know that it is ready"},
		{path: "service.NAME.ready.tcp", typ: typeInt, doc: "port that accepts"},
		{path: "service.NAME.ready.http", typ: typeText, doc: `"PORT/PATH" that answers`},
		{path: "service.NAME.ready.run", typ: typeCommand, lines: true, doc: "command that succeeds"},
		{path: "service.NAME.ready.within", typ: typeDuration, doc: "how long it may take"},
		{path: "service.NAME.restart", typ: typeText, def: `"no"`, values: []string{"no", "on-failure", "always"}, doc: "when it is started again"},
	}
}

// otherKeys are the keys of what is beside the environment.
func otherKeys() []keyDef {
	return []keyDef{
		{path: "profile", typ: typeTable, name: checkProfileName, doc: "changes that --profile applies"},
		{path: "profile.NAME", typ: typeTable, doc: "any key marked P: tables merge, scalars and lists replace, add.KEY = [...] appends; several apply in order"},

		{path: "record", typ: typeTable, doc: "run records"},
		{path: "record.to", typ: typeText, check: checkInProject, later: anyValue(), doc: "folder of the project that also gets them"},

		{path: "submit", typ: typeTable, flags: "P", names: []string{"slurm", "kubernetes"}, doc: "schedulers; site things (partition, account) belong in the user's configuration"},
		{path: "submit.NAME", typ: typeTable, idle: true, doc: "the scheduler's own terms, and extra"},
		{path: "submit.NAME.NAME", typ: typeAny, doc: "a term"},

		{path: "x", typ: typeTable, doc: "left to other tools"},
		{path: "x.NAME", typ: typeAny, doc: "anything"},
	}
}

// profileKeys are what a profile may hold beside the keys marked P.
func profileKeys() []keyDef {
	return []keyDef{
		{path: "when", typ: typeText, values: []string{"no-gpu"}, doc: "applies the profile by itself"},
	}
}

// bindKeys are the values of what a project declares. They stand on the machine only.
func bindKeys() []keyDef {
	return []keyDef{
		{path: "bind", typ: typeTable, doc: "values of what a project declares"},
		{path: "bind.mounts", typ: typeTable, name: checkWord, doc: "mounts of kind host"},
		{path: "bind.mounts.NAME", typ: typeText, check: checkBindPath, doc: "an absolute path, or one below ~/"},
		{path: "bind.secrets", typ: typeTable, name: checkEnvName, secret: true, doc: "secrets"},
		{path: "bind.secrets.NAME", typ: typeTable, secret: true, doc: "where its value comes from; one of"},
		{path: "bind.secrets.NAME.env", typ: typeText, secret: true, check: checkEnvName, doc: "a variable of the environment"},
		{path: "bind.secrets.NAME.file", typ: typeText, secret: true, check: checkBindPath, doc: "a file"},
		{path: "bind.secrets.NAME.command", typ: typeList, secret: true, doc: "a command that prints it"},
	}
}

// userKeys are the keys of the user's configuration.
func userKeys() []keyDef {
	return []keyDef{
		{path: "stores", typ: typeList, check: checkBindPath, doc: "read-only stores that are looked at first; for names of images, last"},
		{path: "index", typ: typeTable, secret: true, name: checkWord, doc: "Python package indexes; default is the one without a name"},
		{path: "index.NAME", typ: typeTable, secret: true, doc: "one index"},
		{path: "index.NAME.url", typ: typeText, required: true, secret: true, check: checkUserURL, doc: "its address, with credentials if it needs any"},
		{path: "debian", typ: typeTable, name: checkPrintable, doc: "Debian archives by Origin"},
		{path: "debian.NAME", typ: typeTable, doc: "one origin"},
		{path: "debian.NAME.mirror", typ: typeText, check: checkUserURL, doc: "where its packages are taken from"},
		{path: "debian.NAME.snapshot", typ: typeText, check: checkUserURL, doc: "where old packages are taken from"},
		{path: "debian.NAME.keyring", typ: typeText, check: checkBindPath, doc: "file with its keys"},
		{path: "registry", typ: typeTable, name: checkRegistryHost, doc: "registries by host"},
		{path: "registry.NAME", typ: typeTable, doc: "one registry"},
		{path: "registry.NAME.mirrors", typ: typeList, check: checkRegistryHost, doc: "hosts that are asked first"},
		{path: "registry.NAME.insecure", typ: typeBool, def: "false", doc: "whether plain http is allowed"},
		{path: "registry.NAME.ca", typ: typeText, check: checkBindPath, doc: "file with the authority that signed its certificate"},
		{path: "tools", typ: typeTable, doc: "helper programs"},
		{path: "tools.uv", typ: typeText, check: checkBindPath, doc: "the uv that resolves Python packages"},
		{path: "limits", typ: typeTable, like: "limits", doc: "caps for every project; the lower of two caps holds"},
		{path: "submit", typ: typeTable, like: "submit", doc: "site things; they win over what a project says"},
		{path: "layers", typ: typeTable, doc: "what one layer of an image, or an archive that holds one, may come to; more is an error that names the key"},
		{path: "layers.entries", typ: typeInt, def: "8388608", doc: "files, folders and links"},
		{path: "layers.size", typ: typeSize, def: `"512GiB"`, doc: "unpacked, holes of sparse files included"},
		{path: "layers.ratio", typ: typeInt, def: "250", doc: "unpacked bytes for each packed one, from the first GiB on; a gzip of nothing has 1032"},
		{path: "layers.memory", typ: typeSize, def: `"128MiB"`, doc: "what has to be remembered while it is unpacked: folders that are closed to their owner, files that a later entry replaces or that lie behind a link, whiteouts in whose place the layer has something of its own, folders without an entry of their own; and the names in a file that is imported"},
		{path: "gc", typ: typeTable, doc: "what sandbox gc keeps"},
		{path: "gc.max-size", typ: typeSize, doc: "how large the store may be"},
		{path: "gc.older-than", typ: typeDuration, doc: "how long unused things stay"},
	}
}
