package envfile

import "slices"

// projectKeys are all keys of a sandbox.toml, in the order in which it is explained.
func projectKeys() []keyDef {
	return slices.Concat(imageKeys(), pythonKeys(), stepKeys(), machineKeys(), runKeys(), taskKeys(), otherKeys())
}

// imageKeys are the keys of what an environment starts from.
func imageKeys() []keyDef {
	return []keyDef{
		{path: "schema", typ: typeInt, def: "1", doc: "version of this format"},
		{path: "requires", typ: typeText, check: checkRequires, doc: `lowest version of the tool, ">=1.2"`},
		{path: "name", typ: typeText, flags: "E", def: "the folder's name", check: checkImageName, doc: "host name, prompt, image name"},
		{path: "platforms", typ: typeList, flags: "L", def: "the machine's own", check: CheckPlatform, doc: "what it is for: one section of the lock each"},

		{path: "project", typ: typeTable, doc: "the project folder"},
		{path: "project.at", typ: typeText, flags: "EP", def: `"/workspace"`, check: checkAt, doc: `where it is mounted; "same" is its own path`},
		{path: "project.root", typ: typeText, flags: "PH", def: `"."`, check: checkRoot, doc: `what is mounted, from the env file: ".." where .git or sources lie above; needs consent if it leaves the env file's folder`},

		{path: "image", typ: typeTable, doc: "the base that the environment starts from"},
		{path: "image.base", typ: typeText, flags: "LP", check: checkBase, doc: "a registry's image, or one of the forms oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, dir:DIR, deb:SUITE[+PACKAGE…]; required unless there is a dockerfile"},
		{path: "image.user", typ: typeText, flags: "EP", def: `"image"`, check: checkUser, doc: "image (its USER), root, me (your uid and name), or a name or uid of the image"},
		{path: "image.ids", typ: typeText, flags: "P", def: `"single"`, values: []string{"single", "subuid"}, later: anyValue(), doc: "how ids are mapped; subuid is for services that switch users"},
		{path: "image.mirror", typ: typeText, check: checkURL, doc: "archive of a deb: base"},
		{path: "image.keyring", typ: typeText, check: checkPath, doc: "file with the keys of a deb: base's archive"},
		{path: "image.dockerfile", typ: typeText, flags: "LPH", check: checkPath, later: anyValue(), doc: "instead of base: built from a Dockerfile of the repository"},
		{path: "image.args", typ: typeTable, flags: "LP", name: checkEnvName, later: anyValue(), doc: "build arguments of the dockerfile"},
		{path: "image.args.NAME", typ: typeText, lines: true, doc: "its value"},
		{path: "image.target", typ: typeText, flags: "LP", check: checkWord, later: anyValue(), doc: "stage of the dockerfile"},

		{path: "toolchain", typ: typeTable, flags: "LP", names: ToolNames(), doc: "claims about the finished environment"},
		{path: "toolchain.NAME", typ: typeText, check: checkTool, doc: `a version: prefix "3.11", exact "==2.5.1", range ">=3.10,<3.13", "auto", or in a profile "none" to drop the claim`},

		{path: "apt", typ: typeTable, doc: "Debian or Ubuntu packages"},
		{path: "apt.packages", typ: typeList, flags: "LP", check: checkAptPackage, doc: "name or name=version"},
		{path: "apt.recommends", typ: typeBool, flags: "LP", def: "false", doc: "whether recommended packages come along"},
		{path: "apt.source", typ: typeTables, flags: "L", doc: "an archive beside those of the base"},
		{path: "apt.source[].url", typ: typeText, required: true, check: checkURL, doc: "its address"},
		{path: "apt.source[].suite", typ: typeText, required: true, check: checkSuite, doc: "its suite"},
		{path: "apt.source[].components", typ: typeList, check: checkSuite, def: `["main"]`, doc: "its components"},
		{path: "apt.source[].key", typ: typeText, required: true, check: checkPath, doc: "file of the project with its key"},
	}
}

// pythonKeys are the keys of Python packages.
func pythonKeys() []keyDef {
	return []keyDef{
		{path: "python", typ: typeTable, doc: "Python packages"},
		{path: "python.packages", typ: typeList, flags: "LP", check: checkRequirement, doc: "requirements, as in requirements.txt"},
		{path: "python.requirements", typ: typeList, flags: "LP", check: checkPath, doc: "requirements files"},
		{path: "python.project", typ: typeText, flags: "LP", check: checkPath, doc: "a folder with pyproject.toml, or a file: pyproject.toml, uv.lock, pylock.toml"},
		{path: "python.extras", typ: typeList, flags: "LP", check: checkPyName, doc: "extras of the project"},
		{path: "python.groups", typ: typeList, flags: "LP", check: checkPyName, doc: "dependency groups of the project"},
		{path: "python.constraints", typ: typeList, flags: "LP", check: checkPath, doc: "constraints files"},
		{path: "python.into", typ: typeText, flags: "LP", def: `"env"`, values: []string{"env", "base"}, later: anyValue(), doc: "env is /opt/env, first on PATH, which sees what the base has; base is the base's own Python"},
		{path: "python.sdist", typ: typeSdist, flags: "LP", def: `"deny"`, check: checkPyName, later: anyValue(), doc: "which source distributions may be built: deny, allow, or a list of names"},
		{path: "python.index", typ: typeTables, flags: "L", doc: "a package index; credentials come from the user's configuration"},
		{path: "python.index[].name", typ: typeText, required: true, check: checkWord, doc: "its name in the lock"},
		{path: "python.index[].url", typ: typeText, required: true, check: checkURL, doc: "its address"},
		{path: "python.index[].only", typ: typeList, check: checkPyName, doc: "the packages it serves; empty means any"},
		{path: "python.build", typ: typeTable, flags: "L", name: checkPyName, doc: "how source distributions are built"},
		{path: "python.build.NAME", typ: typeTable, later: anyValue(), doc: "how this one is built"},
		{path: "python.build.NAME.with", typ: typeList, check: checkAptPackage, doc: "Debian packages it needs"},
		{path: "python.build.NAME.toolchain", typ: typeTable, like: "toolchain", doc: "tools it needs"},
		{path: "python.build.NAME.env", typ: typeTable, name: checkEnvName, doc: "environment of the build"},
		{path: "python.build.NAME.env.NAME", typ: typeText, lines: true, doc: "its value"},
		{path: "python.build.NAME.compute", typ: typeList, check: checkCapability, doc: "GPU compute capabilities to build for"},
		{path: "python.build.NAME.requires", typ: typeList, check: checkRequirement, doc: "Python packages it needs"},
		{path: "python.build.NAME.memory-per-job", typ: typeSize, doc: "memory of one compiler job, which bounds how many run at once"},
	}
}

// stepKeys are the keys of how the rest of an environment is made.
func stepKeys() []keyDef {
	return []keyDef{
		{path: "resolve", typ: typeTable, doc: "how names are resolved"},
		{path: "resolve.as-of", typ: typeDate, flags: "L", doc: "cutoff date; the lock records for which sources it could be kept"},

		{path: "step", typ: typeTables, flags: "LPH", doc: "a command of your own at build time; needs consent only with network or secrets"},
		{path: "step[].run", typ: typeCommand, required: true, lines: true, doc: "a shell line, or a list that is executed as it stands"},
		{path: "step[].where", typ: typeText, def: `"image"`, values: []string{"image", "project"}, doc: "image sees a copy of inputs and becomes a layer; project keeps its outputs by content and puts them back into the tree"},
		{path: "step[].inputs", typ: typeList, check: checkPath, doc: "files and globs it reads"},
		{path: "step[].outputs", typ: typeList, check: checkInProject, doc: "files and globs it makes"},
		{path: "step[].workdir", typ: typeText, check: checkWorkdir, doc: "folder it runs in"},
		{path: "step[].env", typ: typeTable, name: checkEnvName, doc: "its environment"},
		{path: "step[].env.NAME", typ: typeText, lines: true, doc: "its value"},
		{path: "step[].network", typ: typeBool, def: "false", doc: "whether it has a network"},
		{path: "step[].secrets", typ: typeList, check: checkEnvName, later: anyValue(), doc: "secrets of scope build that it sees"},
		{path: "step[].after", typ: typeList, check: checkWord, later: anyValue(), doc: "what it waits for"},

		{path: "fetch", typ: typeTables, flags: "L", doc: "a file by hash, mounted read-only, never in a layer"},
		{path: "fetch[].url", typ: typeText, required: true, check: checkURL, doc: "its address"},
		{path: "fetch[].sha256", typ: typeText, required: true, check: checkSHA256, doc: "its hash, 64 hexadecimal digits"},
		{path: "fetch[].to", typ: typeText, required: true, check: checkTarget, doc: "where it is mounted"},
		{path: "fetch[].unpack", typ: typeBool, def: "false", doc: "whether it is an archive to unpack"},
		{path: "fetch[].mode", typ: typeMode, def: `"0644"`, doc: "its permission bits"},

		{path: "sources", typ: typeTable, doc: "where the lock's content also lies"},
		{path: "sources.vendor", typ: typeList, check: checkVendor, later: anyValue(), doc: "references to copies of everything in the lock"},
	}
}

// ToolNames are the names that [toolchain] knows.
func ToolNames() []string {
	return []string{
		"python", "pytorch", "torchvision", "torchaudio", "jax", "tensorflow",
		"cuda", "cudnn", "nccl", "gcc", "clang", "cmake", "ninja", "make", "node", "rust", "go", "git",
	}
}
