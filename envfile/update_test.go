package envfile

import "flag"

var update = flag.Bool("update", false, "write golden files and generated documents anew")
