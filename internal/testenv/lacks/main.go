// Command lacks says which parts that tests need this machine does not have, before the tests run: those that
// need them are left out, and go test mentions that only with -v. It is for `make test`, and always ends well.
package main

import (
	"fmt"

	"github.com/4cc2e759/sandbox/internal/testenv"
)

func main() {
	met := 0
	for _, name := range testenv.Names() {
		err := testenv.Check(name)
		if err == nil {
			met++
			continue
		}
		fmt.Printf("%v; tests that need it are left out\n", err)
	}
	fmt.Printf("%d of %d conditions of the tests are met\n", met, len(testenv.Names()))
}
