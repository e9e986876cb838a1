#!/bin/sh
# A certificate authority of our own, one certificate for the server and one for the clients.
#   certificates.sh FOLDER NAME...      names and addresses by which clients reach the server
# What is there already is kept; to renew, remove server.* or client.*. Valid for 825 days, the authority for ten years.
set -eu
folder=$1
shift
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

names=""
for name in "$@"; do
  case $name in
    *[!0-9.]*) names="${names:+$names,}DNS:$name" ;;
    *) names="${names:+$names,}IP:$name" ;;
  esac
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
sign server "/CN=gesture-maze redis" "subjectAltName=$names
extendedKeyUsage=serverAuth,clientAuth"
sign client "/CN=gesture-maze client" "extendedKeyUsage=clientAuth"
# The folder keeps others out; a container that is given one file of it runs as another user.
chmod 644 ./*.key ./*.pem
chmod 600 ca.key
