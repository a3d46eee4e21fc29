package sandbox

import (
	"testing"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/sandbox/launch"
)

// The command line decides; what it leaves open stays the env file's business.
func TestCommandLineOverEnvFile(t *testing.T) {
	file := terms.GPU{Need: "required", Count: 2, MinMemory: 40 << 30, Name: "H100", Share: true, Wait: "5m", Caps: []string{"compute"}}
	for flag, want := range map[string]string{
		"":                          "2,min-memory=40GiB,name=H100,share=yes,wait=5m,caps=compute",
		"1":                         "1,min-memory=40GiB,name=H100,share=yes,wait=5m,caps=compute",
		"1,share=no":                "1,min-memory=40GiB,name=H100,share=no,wait=5m,caps=compute",
		"1,share=yes,name=A100":     "1,min-memory=40GiB,name=A100,share=yes,wait=5m,caps=compute",
		"GPU-8f3a":                  "GPU-8f3a,share=yes,wait=5m,caps=compute",
		"GPU-8f3a,share=no,wait=1m": "GPU-8f3a,share=no,wait=1m,caps=compute",
		"none":                      "none",
	} {
		w := launch.GPUWant{Terms: file}
		if flag != "" {
			w.Options.GPUs = []string{flag}
		}
		r, err := gpuRequest(w, nil)
		if err != nil || r.String() != want {
			t.Errorf("--gpus %s: %s, %v; want %s", flag, r, err, want)
		}
	}
}
