// Command sandbox-gpu-probe prints what GPUs a machine has, as JSON: a gpu.Inventory, or
// {"error": {"code": 18, "text": "…"}} with NVML's code. It is a program of its own because NVIDIA's
// library needs the dynamic linker, and because the library may hang, or end the process.
//
// It runs on the glibc that it was built on and on newer ones: 2.34 and up if built on Debian 12. A build on
// an older distribution serves older machines too.
//
// Start with main; package gpu/probe runs it, and adds what procfs and sysfs know.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/gpu/probe"
	"github.com/4cc2e759/sandbox/gpu/probe/nvml"
)

// limit ends the program where nobody else does: whoever started it has waited less.
const limit = 10 * time.Minute

func main() {
	library := flag.String("library", "", "path of libnvidia-ml; without it the dynamic linker finds one")
	root := flag.String("root", "", "look for the library in the driver below this folder")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: sandbox-gpu-probe [--library PATH] [--root DIR]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	time.AfterFunc(limit, func() { os.Exit(124) })
	if *library == "" && *root != "" {
		roots := gpu.Below(*root)
		module, _ := probe.Module(roots)
		*library = probe.Library(roots, module, "")
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer(nvml.Read(*library))); err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// answer is what is printed.
func answer(inv gpu.Inventory, err error) any {
	if err == nil {
		return inv
	}
	var e *nvml.Error
	if !errors.As(err, &e) {
		e = &nvml.Error{Code: 999, Text: err.Error()}
	}
	return map[string]any{"error": map[string]any{"code": e.Code, "text": e.Text, "call": e.Call}}
}
