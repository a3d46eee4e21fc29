package envfile

import (
	"fmt"
	"strconv"
)

func (n lockNode) section() *Section {
	n.only("digest", "inputs", "config", "image", "toolchain", "deb", "wheel", "interpreter", "fetch", "step", "built")
	n.at("digest").need().str(isDigest)
	s := &Section{
		Inputs: n.at("inputs").strMap(),
		Config: n.at("config").config(),
		Image:  n.at("image").image(),
	}
	for name, t := range n.at("toolchain").table() {
		if s.Toolchain == nil {
			s.Toolchain = map[string]ToolPin{}
		}
		s.Toolchain[name] = t.tool()
	}
	seen := map[string]bool{}
	for _, e := range n.at("deb").elems() {
		d := e.deb()
		e.once(seen, "package", d.Name+" "+d.Arch)
		s.Debs = append(s.Debs, d)
	}
	for _, e := range n.at("wheel").elems() {
		w := e.wheel()
		e.once(seen, "wheel", w.Name)
		s.Wheels = append(s.Wheels, w)
	}
	for _, e := range n.at("interpreter").elems() {
		f := e.file()
		e.once(seen, "interpreter", f.Name)
		s.Interpreters = append(s.Interpreters, f)
	}
	for _, e := range n.at("fetch").elems() {
		f := e.fetch()
		e.once(seen, "fetch", f.To)
		s.Fetches = append(s.Fetches, f)
	}
	for _, e := range n.at("step").elems() {
		s.Steps = append(s.Steps, e.step())
	}
	for key, b := range n.at("built").table() {
		if s.Built == nil {
			s.Built = map[string]BuiltLayer{}
		}
		b.only("diff-id", "files")
		s.Built[key] = BuiltLayer{DiffID: b.at("diff-id").str(isDigest), Files: b.at("files").str(isDigest)}
	}
	return s
}

func (n lockNode) config() Config {
	n.only("name", "project-at", "user", "publish", "cmd", "env")
	return Config{
		Name:      n.at("name").str(oneLine),
		ProjectAt: n.at("project-at").str(oneLine),
		User:      n.at("user").str(oneLine),
		Publish:   n.at("publish").strs(),
		Cmd:       n.at("cmd").strs(),
		Env:       n.at("env").strMap(),
	}
}

func (n lockNode) image() ImagePin {
	n.only("ref", "index", "manifest", "layers")
	im := ImagePin{
		Ref:      n.at("ref").str(oneLine),
		Index:    n.at("index").str(isDigest),
		Manifest: n.at("manifest").str(isDigest),
	}
	for _, e := range n.at("layers").elems() {
		e.only("digest", "diff-id", "size", "media-type")
		im.Layers = append(im.Layers, LayerPin{
			Digest:    e.at("digest").need().str(isDigest),
			DiffID:    e.at("diff-id").str(isDigest),
			Size:      e.at("size").size(),
			MediaType: e.at("media-type").str(oneLine),
		})
	}
	return im
}

func (n lockNode) tool() ToolPin {
	p := ToolPin{}
	for key, v := range n.table() {
		switch key {
		case "version":
			p.Version = v.str(oneLine)
		case "from":
			p.From = v.str(oneLine)
		default:
			if p.Facts == nil {
				p.Facts = map[string]string{}
			}
			p.Facts[key] = v.str(oneLine)
		}
	}
	return p
}

func (n lockNode) deb() DebPin {
	n.only("name", "version", "arch", "archive", "path", "size", "sha256", "layer")
	return DebPin{
		Name:    n.at("name").need().str(isDebName),
		Version: n.at("version").need().str(isDebVersion),
		Arch:    n.at("arch").need().str(isDebName),
		Archive: n.at("archive").str(isRelPath),
		Path:    n.at("path").str(isRelPath),
		Size:    n.at("size").size(),
		SHA256:  n.at("sha256").need().str(isHash),
		Layer:   n.at("layer").str(oneLine),
	}
}

func (n lockNode) wheel() WheelPin {
	n.only("name", "version", "file", "size", "sha256", "index", "from")
	w := WheelPin{
		Name:    n.at("name").need().str(isPythonName),
		Version: n.at("version").need().str(oneLine),
		File:    n.at("file").str(isFileName),
		Size:    n.at("size").size(),
		SHA256:  n.at("sha256").str(isHash),
		Index:   n.at("index").str(oneLine),
		From:    n.at("from").str(oneLine),
	}
	if w.From != "base" {
		n.at("file").need()
		n.at("sha256").need()
	}
	return w
}

func (n lockNode) file() FilePin {
	n.only("name", "file", "url", "size", "sha256")
	return FilePin{
		Name:   n.at("name").str(oneLine),
		File:   n.at("file").need().str(isFileName),
		URL:    n.at("url").str(oneLine),
		Size:   n.at("size").size(),
		SHA256: n.at("sha256").need().str(isHash),
	}
}

func (n lockNode) step() StepPin {
	n.only("run", "args", "workdir", "network", "env", "inputs")
	s := StepPin{
		Run:     n.at("run").str(func(s string) bool { return s != "" && len(s) < 1<<20 }),
		Args:    n.at("args").strs(),
		Workdir: n.at("workdir").str(oneLine),
		Network: n.at("network").boolean(),
		Env:     n.at("env").strMap(),
		Inputs:  n.at("inputs").strMap(),
	}
	if (s.Run == "") == (len(s.Args) == 0) {
		n.fail("a step has either run or args")
	}
	return s
}

func (n lockNode) fetch() FetchPin {
	n.only("to", "url", "size", "sha256", "unpack", "mode")
	p := FetchPin{
		To:     n.at("to").need().str(isAbsPath),
		URL:    n.at("url").str(oneLine),
		Size:   n.at("size").size(),
		SHA256: n.at("sha256").need().str(isHash),
		Unpack: n.at("unpack").boolean(),
	}
	if mode := n.at("mode"); mode.v != nil {
		v, err := strconv.ParseUint(mode.str(oneLine), 8, 32)
		if err != nil || v == 0 || fmt.Sprintf("%04o", v) != mode.v {
			mode.fail("a mode is permission bits as in \"0755\"")
		}
		p.Mode = uint32(v)
	}
	return p
}
