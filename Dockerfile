# The pinned packages and this project, with a GL library for pixels and videos.
#
# docker build --target cpu -t dreamer-tf .
# docker build --target gpu -t dreamer-tf:gpu .     then: docker run --gpus all …
# docker run -v "$PWD/runs:/dreamer-tf/runs" dreamer-tf --configs dmc cpu --task dmc_cartpole_balance

# A release by its name: newer ones may lack OSMesa, which Mesa gave up in 25.1.
FROM python:3.11-slim-bookworm AS base
RUN apt-get update \
    && apt-get install --no-install-recommends -y libegl1 libgl1 libopengl0 libosmesa6 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /dreamer-tf
COPY requirements.txt ./

# The libraries of CUDA are an extra of TensorFlow, at its own pin.
FROM base AS gpu
RUN pip install --no-cache-dir -r requirements.txt \
    "$(sed -n 's/^tensorflow==\([0-9.]*\).*/tensorflow[and-cuda]==\1/p' requirements.txt)"
COPY . .
RUN pip install --no-cache-dir --no-deps .
ENTRYPOINT ["dreamer-train"]

# The last stage is what is built where no target is named.
FROM base AS cpu
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps .
ENTRYPOINT ["dreamer-train"]
