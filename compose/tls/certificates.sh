#!/bin/sh
# Create a certificate authority, and certificates for Redis, for the gateway and for the clients of Redis.
#   certificates.sh FOLDER NAME... [-- NAME...]
# The names and addresses by which clients reach Redis and, behind the dashes, those by which browsers reach the gateway
# (without: localhost and 127.0.0.1). What is there already is kept; to renew, remove server.*, gateway.* or client.*.
# Valid for 825 days, the authority for ten years. For a public name put a public certificate at gateway.pem, gateway.key.
set -eu
folder=$1
shift
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

redis=""
gateway=""
add() { # add NAME, to the list that is being read
  case $1 in
    *[!0-9.]*) one="DNS:$1" ;;
    *) one="IP:$1" ;;
  esac
  if [ "$of" = redis ]; then redis="${redis:+$redis,}$one"; else gateway="${gateway:+$gateway,}$one"; fi
}
of=redis
for name in "$@"; do
  if [ "$name" = -- ]; then of=gateway; else add "$name"; fi
done

if [ ! -e ca.pem ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=gesture-maze authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout ca.key -out ca.pem 2>/dev/null
fi

sign() { # sign NAME SUBJECT EXTENSIONS
  [ ! -e "$1.pem" ] || return 0
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf '%s\n' "$3" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
  rm "$1.csr" "$1.ext"
}
sign server "/CN=gesture-maze redis" "subjectAltName=$redis
extendedKeyUsage=serverAuth,clientAuth"
sign gateway "/CN=gesture-maze gateway" "subjectAltName=${gateway:-DNS:localhost,IP:127.0.0.1}
extendedKeyUsage=serverAuth"
sign client "/CN=gesture-maze client" "extendedKeyUsage=clientAuth"
# The folder is closed to other users; a container that mounts one of its files runs as another user.
chmod 644 ./*.key ./*.pem
chmod 600 ca.key
