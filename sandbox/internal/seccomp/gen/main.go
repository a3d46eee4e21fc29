// Command gen writes the filter tables of package seccomp. The numbers of the calls come from
// golang.org/x/sys. Run it by go generate.
package main

import (
	"log"
	"os"

	"github.com/4cc2e759/sandbox/sandbox/internal/seccomp/assemble"
)

func main() {
	for _, goarch := range []string{"amd64", "arm64"} {
		source, err := assemble.Source(goarch)
		if err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile("tables_linux_"+goarch+".go", source, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
